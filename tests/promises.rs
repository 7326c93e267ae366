//! What a call costs that can be counted: allocations and writes. Both ends run on this one thread, so the
//! allocations are those of client and server together.

use steeple::{
    Body, Channel, Connector, Error, Peer, Request, Response, conn::Builder,
    transport::mem::MemStream, wire::Role,
};
use tokio::{
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
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.unwrap();
        let entered = runtime.enter();
        let (near, far) = MemStream::pair(64 * 1024);
        let echo =
            service_fn(async |request: Request| Ok::<_, Error>(Response::new(request.into_body())));
        let (server, connection) = Builder::new(Role::Acceptor).build(far, echo);
        tokio::spawn(connection);
        let channel = Connector::new().connect_io(near, None);
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
