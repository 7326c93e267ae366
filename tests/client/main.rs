//! What the typed client promises: calls with values, calls that were started, batches, and a default stack that
//! dials when it has to.

#[path = "../support/mod.rs"]
mod support;

mod batch;
mod calls;
mod counters;
mod default_stack;
mod stack_batch;
mod started;

use steeple::{
    Body, Channel, Client, Connector, Error, Options, Peer, Request, Response,
    codec::{Arena, Bincode, decode, encode},
    conn::{Builder, RpcService},
    transport::mem::MemStream,
    wire::Role,
};
use tower::{service_fn, util::BoxCloneSyncService};

/// Bytes in flight each way.
const CAPACITY: usize = 256 * 1024;

/// A client over one connection in memory, and the server's end of it.
fn connect<S: RpcService + Send + 'static>(
    options: Options,
    service: S,
) -> (Client<Channel>, Peer) {
    let (near, far) = MemStream::pair(CAPACITY);
    let (peer, connection) = Builder::new(Role::Acceptor).build(far, service);
    tokio::spawn(connection);
    let channel = Connector::new().options(options).connect_io(near, None);
    (Client::new(channel), peer)
}

/// A service with values.
///
/// * `add` adds two numbers;
/// * `metadata` answers with the value of `name`, as metadata of that name too;
/// * any other method echoes.
fn calculator() -> BoxCloneSyncService<Request, Response, Error> {
    BoxCloneSyncService::new(service_fn(async |request: Request| {
        let mut arena = Arena::new();
        Ok(match request.method().as_str() {
            "add" => {
                let (a, b): (i32, i32) = decode(&Bincode, request.body())?;
                Response::new(encode(&Bincode, &(a + b), &mut arena)?)
            }
            "metadata" => {
                let value = request.metadata().get("name").unwrap().clone();
                let mut response = Response::new(Body::from(value.clone()));
                response.metadata_mut().insert("name", value);
                response
            }
            _ => Response::new(request.into_body()),
        })
    }))
}
