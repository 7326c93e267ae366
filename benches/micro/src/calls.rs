//! Whole calls: both ends of a connection over a stream in memory, on one thread.
//!
//! What a table of calls under way costs is private to the connection; it shows here, as what a call costs beside
//! many others.

use std::future::ready;
use std::rc::Rc;

use steeple::conn::Builder;
use steeple::wire::Role;
use steeple::{Body, Channel, Connector, Error, Request, Response};
use tokio::io::duplex;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;
use tower::{Service, service_fn};

/// Bytes that the stream takes before it is read: as much as one read asks for.
const STREAM: usize = 64 * 1024;

/// A client and a server that echoes.
#[derive(Clone)]
pub(crate) struct Calls(Rc<Pair>);

struct Pair {
    runtime: Runtime,
    channel: Channel,
    body: Body,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime without I/O");
        let entered = runtime.enter();
        let (near, far) = duplex(STREAM);
        let echo = service_fn(|request: Request| {
            ready(Ok::<_, Error>(Response::new(request.into_body())))
        });
        let (_, server) = Builder::new(Role::Acceptor).build(far, echo);
        tokio::spawn(server);
        let channel = Connector::new().connect_io(near, None);
        drop(entered);
        Self(Rc::new(Pair {
            runtime,
            channel,
            body: Body::from(vec![0x5a; 64]),
        }))
    }

    /// Makes `calls` in all. Each of the callers waits for its answer before it calls again.
    pub(crate) fn run(&self, calls: usize, callers: usize) {
        let Pair {
            runtime,
            channel,
            body,
        } = &*self.0;
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for caller in 0..callers {
                let (mut channel, body) = (channel.clone(), body.clone());
                let own = calls / callers + usize::from(caller < calls % callers);
                tasks.spawn(async move {
                    for _ in 0..own {
                        let request = Request::new("Echo", body.clone());
                        let response = channel.call(request).await.expect("an echo");
                        assert_eq!(response.body().len(), body.len());
                    }
                });
            }
            tasks.join_all().await;
        });
    }
}
