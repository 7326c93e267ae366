//! What a call costs that can be counted: allocations and writes. Both ends run on this one thread, so the
//! allocations are those of client and server together.

use std::{
    future::ready,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use steeple::{
    Body, Channel, Client, Connector, Endpoint, Error, Peer, Replay, Request, Response, Router,
    RpcService,
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
fn another_attempt_of_a_call_with_metadata_allocates_nothing() {
    let mut request = Request::new("Get", Body::from("a body"));
    request.metadata_mut().insert("tenant", "blue");
    let costs = allocation_counter::measure(|| drop(request.replay()));
    assert_eq!(costs.count_total, 0);
}

#[test]
fn a_lonely_call_takes_one_write_on_each_side() {
    let costs = Pair::new().costs_of_echoes(1, 64);
    assert!(costs.client_writes <= 1.0, "{costs:?}");
    assert!(costs.server_writes <= 1.0, "{costs:?}");
}

#[test]
fn a_typed_call_allocates_what_the_same_call_of_a_channel_does_and_no_more() {
    let bytes = Bytes::from(vec![7; 64]);
    for callers in [1, 64] {
        let pair = Pair::new();
        let bare = pair.costs_of_echoes(callers, 64).allocations;
        let typed = pair.costs(callers, |calls| {
            pair.in_tasks(callers, |channel| {
                let (mut client, bytes) = (Client::new(channel), bytes.clone());
                async move {
                    for _ in 0..calls / callers {
                        let again: Bytes = client.call("echo", bytes.clone()).await.unwrap();
                        assert_eq!(again, bytes);
                    }
                }
            });
        });
        // The tasks of the callers cost a little, too, which need not be the same.
        assert!(
            typed.allocations < bare + 0.01,
            "{callers} callers: {typed:?}, bare {bare}"
        );

        let value = pair.costs(callers, |calls| {
            pair.in_tasks(callers, |channel| {
                let mut client = Client::new(channel);
                async move {
                    for n in 0..calls / callers {
                        let again: (u64, u32) = client.call("echo", &(n, 8u32)).await.unwrap();
                        assert_eq!(again, (n, 8));
                    }
                }
            });
        });
        // And the blocks that values are encoded in, one for each caller.
        assert!(
            value.allocations < bare + 0.05,
            "{callers} callers: {value:?}, bare {bare}"
        );
    }
}

#[test]
fn a_call_by_the_default_stack_of_a_router_allocates_at_most_three_times() {
    let pair = Pair::serving(Router::new().route("Echo", async |body: Bytes| body));
    let client = pair.client();
    let bytes = Bytes::from(vec![7; 64]);
    for callers in [1, 64] {
        let costs = pair.costs(callers, |calls| {
            pair.in_tasks(callers, |_| {
                let (mut client, bytes) = (client.clone(), bytes.clone());
                async move {
                    for _ in 0..calls / callers {
                        let again: Bytes = client.call("Echo", bytes.clone()).await.unwrap();
                        assert_eq!(again, bytes);
                    }
                }
            });
        });
        // The body on either side, which short ones share, and the future of an `async` handler.
        assert!(costs.allocations < 3.1, "{callers} callers: {costs:?}");
    }
}

#[test]
fn a_batch_takes_one_write_and_its_calls_no_allocation_of_their_own() {
    const LEN: u64 = 512;
    let pair = Pair::new();
    let batches = |calls| {
        pair.runtime.block_on(async {
            let batch = Client::new(pair.channel.clone()).batch();
            for _ in 0..calls / LEN {
                let items: Vec<_> = (0..LEN)
                    .map(|n| batch.call::<u64>("echo", &n).unwrap())
                    .collect();
                batch.run().await.unwrap();
                for (n, item) in (0..).zip(items) {
                    assert_eq!(item.take().unwrap(), n);
                }
            }
        });
    };
    batches(LEN * 2);
    let costs = pair.costs(LEN, batches);
    let once = 1.0 / LEN as f64;
    assert!(costs.client_writes <= once, "{costs:?}");
    assert!(costs.server_writes <= 2.0 * once, "{costs:?}");
    // The body on either side, as of any call.
    assert!(costs.allocations < 2.1, "{costs:?}");
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
    /// Whose server echoes.
    fn new() -> Self {
        Self::over(|stream| stream)
    }

    /// Whose server echoes, with a client whose stream is wrapped.
    fn over<I: Io>(wrap: impl FnOnce(MemStream) -> I) -> Self {
        let echo = async |request: Request| Ok::<_, Error>(Response::new(request.into_body()));
        Self::build(wrap, service_fn(echo))
    }

    fn serving(service: impl RpcService + Send + 'static) -> Self {
        Self::build(|stream| stream, service)
    }

    fn build<I: Io>(
        wrap: impl FnOnce(MemStream) -> I,
        service: impl RpcService + Send + 'static,
    ) -> Self {
        // The clock stands still, or a handler that is slow once would be moved to tasks.
        let mut runtime = runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let entered = runtime.enter();
        let (near, far) = MemStream::pair(64 * 1024);
        let (server, connection) = Builder::new(Role::Acceptor).build(far, service);
        tokio::spawn(connection);
        let channel = Connector::new().connect_io(wrap(near), None);
        drop(entered);
        Self {
            runtime,
            channel,
            server,
        }
    }

    /// A client with the default stack over the connection.
    fn client(&self) -> Client {
        let channel = self.channel.clone();
        let connector = service_fn(move |_: Endpoint| ready(Ok::<_, Error>(channel.clone())));
        let connecting = Client::builder()
            .connector(connector)
            .connect("tcp://pair:1");
        self.runtime.block_on(connecting).unwrap()
    }

    /// `CALLS` in all. Each of the callers waits for its answer before it calls again.
    fn costs_of_echoes(&self, callers: u64, size: usize) -> Costs {
        let body = Body::from(vec![7; size]);
        self.costs(callers, |calls| self.echoes(callers, calls, &body))
    }

    /// What one call costs of the `CALLS` that `make` makes.
    fn costs(&self, callers: u64, make: impl Fn(u64)) -> Costs {
        // Buffers grow, and the method gets its number, before anything is counted.
        make(callers * 4);

        let before = (self.channel.stats(), self.server.stats());
        let counted = allocation_counter::measure(|| make(CALLS));
        let after = (self.channel.stats(), self.server.stats());
        let of_one = |count: u64| count as f64 / CALLS as f64;
        Costs {
            allocations: of_one(counted.count_total),
            client_writes: of_one(after.0.write_calls - before.0.write_calls),
            server_writes: of_one(after.1.write_calls - before.1.write_calls),
        }
    }

    fn echoes(&self, callers: u64, calls: u64, body: &Body) {
        self.in_tasks(callers, |mut channel| {
            let body = body.clone();
            async move {
                for _ in 0..calls / callers {
                    let response = channel.call(Request::new("echo", body.clone())).await;
                    assert_eq!(*response.unwrap().body(), body);
                }
            }
        });
    }

    /// Runs a task for each caller to its end.
    fn in_tasks<F>(&self, callers: u64, task: impl Fn(Channel) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..callers {
                tasks.spawn(task(self.channel.clone()));
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
