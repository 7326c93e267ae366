//! What a listener is.

use std::{future::Future, io};

use super::{Address, Open};

/// Where a server's streams come from.
///
/// Closing is dropping: the accept loop owns its listener, ends the wait by dropping the future of
/// [`accept`](Self::accept), and lets the listener go.
///
/// ```
/// use std::io;
///
/// use steeple::transport::{Address, Listener};
/// use tokio::{io::DuplexStream, sync::mpsc};
///
/// /// Streams that another part of the process hands over.
/// struct HandedOver(mpsc::Receiver<DuplexStream>);
///
/// impl Listener for HandedOver {
///     type Io = DuplexStream;
///
///     async fn accept(&mut self) -> io::Result<(DuplexStream, Address)> {
///         let stream = self.0.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
///         Ok((stream, Address::Other("inside".into())))
///     }
///
///     fn local_address(&self) -> Address {
///         Address::Other("inside".into())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a listener",
    note = "implement `accept` and `local_address`, or give it to `TcpListener::from_tokio`"
)]
pub trait Listener: Send + 'static {
    /// The stream of one client, or what becomes one in the client's own task.
    type Io: Open;

    /// Waits for the next client and gives its stream and its address.
    ///
    /// Cancel safe: a future that is dropped before it is ready has taken no client out of the queue.
    ///
    /// It returns as soon as there is a stream. What takes time with each client, a TLS handshake say,
    /// belongs into the client's own task, as a [`Handshake`](super::Handshake): in here it would hold up all the
    /// others.
    ///
    /// # Errors
    ///
    /// An error is about the listener, such as a process out of file descriptors: the accept loop logs it,
    /// pauses and goes on. A failure of one client alone is better skipped than returned, for else a client
    /// could make the others wait through that pause.
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), which no socket's accept gives, says that nobody comes any
    /// more: the listener has ended.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, Address)>> + Send;

    /// Where it listens, with the port that the system chose.
    fn local_address(&self) -> Address;
}
