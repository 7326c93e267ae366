//! Serving one stream, without a listener.

use crate::{
    Error,
    conn::{Builder, RpcService},
    transport::Io,
    wire::Role,
};

/// Serves one ready stream until its client has left and no handler of it runs: of a test, of a pair of pipes, of an
/// upgraded HTTP connection. With options, another wire or a client to be called: [`Builder`]. One request only:
/// [`OneByOne`](crate::conn::OneByOne).
///
/// # Errors
/// The one that ended the connection, unless it ended in order.
pub async fn serve_connection(io: impl Io, service: impl RpcService) -> Result<(), Error> {
    let (_, connection) = Builder::new(Role::Acceptor).build(io, service);
    connection.await
}
