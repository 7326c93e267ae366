//! What a connection tells those who keep it.

use std::{future::Future, time::Duration};

use crate::Error;

/// A connection as a replica set sees it: when it may be called, and when no longer.
///
/// A handle, cheap to clone. The connection ends in order when its last handle is dropped, and at the latest
/// when it is told to [`drain`](Self::drain). The methods may be called on any handle, at any time, in any
/// number; a future that is dropped takes nothing back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell when it is connected, so it cannot be a replica",
    label = "this is not `Lifecycle`",
    note = "a connector for `Replicas` answers with a connection, such as `steeple::Channel`",
    note = "layers over each replica go into `Builder::layer`, not around the connector"
)]
pub trait Lifecycle: Send + Sync + 'static {
    /// Waits until the other side has opened the connection.
    ///
    /// # Errors
    /// The one that ended the connection.
    fn handshaken(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Waits until no call can begin any more: either side drains, or the connection is over.
    fn draining(&self) -> impl Future<Output = ()> + Send;

    /// Waits until the connection is over.
    fn closed(&self) -> impl Future<Output = ()> + Send;

    /// Asks the other side whether it is there, and measures how long its answer takes.
    ///
    /// # Errors
    /// If no answer can come.
    fn ping(&self) -> impl Future<Output = Result<Duration, Error>> + Send;

    /// Ends the connection in order: calls under way still end. Returns when it is over.
    fn drain(&self) -> impl Future<Output = ()> + Send;

    /// Ends the connection at once: calls under way fail.
    fn close(&self);

    /// How many calls wait to be sent or to be answered.
    fn pending(&self) -> usize;
}
