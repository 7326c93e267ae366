//! What a call costs that can be counted: allocations and writes. Both ends run on this one thread, so the
//! allocations are those of client and server together.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use steeple::{
    Body, Channel, Connector, Error, Peer, Request, Response,
    conn::Builder,
    transport::{Io, mem::MemStream},
    wire::Role,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::{self, Runtime},
    task::JoinSet,
};
use tower::{Service, service_fn};

const CALLS: u64 = 12_800;

#[test]
fn a_small_call_allocates_its_body_on_either_side_and_nothing_else() {
    for callers in [1, 64] {
        let costs = Pair::new().costs_of_echoes(callers, 64);
        assert!(costs.allocations < 2.1, "{callers} callers: {costs:?}");
    }
}

#[test]
fn calls_of_many_callers_share_their_writes() {
    let costs = Pair::new().costs_of_echoes(64, 64);
    assert!(costs.client_writes < 0.05, "{costs:?}");
    assert!(costs.server_writes < 0.05, "{costs:?}");
}

#[test]
fn a_lonely_call_takes_one_write_on_each_side() {
    let costs = Pair::new().costs_of_echoes(1, 64);
    assert!(costs.client_writes <= 1.0, "{costs:?}");
    assert!(costs.server_writes <= 1.0, "{costs:?}");
}

/// Client and server over one connection in memory.
struct Pair {
    runtime: Runtime,
    channel: Channel,
    server: Peer,
}

/// What one call costs.
#[derive(Debug)]
struct Costs {
    allocations: f64,
    client_writes: f64,
    server_writes: f64,
}

impl Pair {
    fn new() -> Self {
        Self::over(|stream| stream)
    }

    /// A client whose stream is wrapped.
    fn over<I: Io>(wrap: impl FnOnce(MemStream) -> I) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.unwrap();
        let entered = runtime.enter();
        let (near, far) = MemStream::pair(64 * 1024);
        let echo =
            service_fn(async |request: Request| Ok::<_, Error>(Response::new(request.into_body())));
        let (server, connection) = Builder::new(Role::Acceptor).build(far, echo);
        tokio::spawn(connection);
        let channel = Connector::new().connect_io(wrap(near), None);
        drop(entered);
        Self {
            runtime,
            channel,
            server,
        }
    }

    /// `CALLS` in all. Each of the callers waits for its answer before it calls again.
    fn costs_of_echoes(&self, callers: u64, size: usize) -> Costs {
        let body = Body::from(vec![7; size]);
        // Buffers grow, and the method gets its number, before anything is counted.
        self.echoes(callers, callers * 4, &body);

        let before = (self.channel.stats(), self.server.stats());
        let counted = allocation_counter::measure(|| self.echoes(callers, CALLS, &body));
        let after = (self.channel.stats(), self.server.stats());
        let of_one = |count: u64| count as f64 / CALLS as f64;
        Costs {
            allocations: of_one(counted.count_total),
            client_writes: of_one(after.0.write_calls - before.0.write_calls),
            server_writes: of_one(after.1.write_calls - before.1.write_calls),
        }
    }

    fn echoes(&self, callers: u64, calls: u64, body: &Body) {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..callers {
                let (mut channel, body) = (self.channel.clone(), body.clone());
                tasks.spawn(async move {
                    for _ in 0..calls / callers {
                        let response = channel.call(Request::new("echo", body.clone())).await;
                        assert_eq!(*response.unwrap().body(), body);
                    }
                });
            }
            tasks.join_all().await;
        });
    }
}

/// A stream that is never done flushing.
struct NeverFlushed(MemStream);

impl AsyncRead for NeverFlushed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for NeverFlushed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[test]
fn what_was_written_is_not_held_until_it_is_flushed() {
    let pair = Pair::over(NeverFlushed);
    let body = Body::from(vec![7; 4096]);
    pair.echoes(8, 64, &body);
    let counted = allocation_counter::measure(|| pair.echoes(8, 2048, &body));
    // 8 MiB went out; as much as is under way at once may be held.
    assert!(counted.bytes_current < 1024 * 1024, "{counted:?}");
    assert!(counted.bytes_max < 2 * 1024 * 1024, "{counted:?}");
}
