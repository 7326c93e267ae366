//! A network in memory, whose faults a test chooses and can repeat.
//!
//! A [`MemNetwork`] is a value: names listen on it and connect over it, and a [`Link`] says what happens to
//! the bytes between two of them. There is no task and no socket behind it. Each byte knows the instant of
//! tokio's clock at which it arrives, so a test under paused time takes no time; and all chance comes from
//! the seed, so it runs the same way each time on a `current_thread` runtime.
//!
//! ```
//! use std::time::Duration;
//!
//! use steeple::transport::{Listener, mem::MemNetwork};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> std::io::Result<()> {
//! let net = MemNetwork::new(7);
//! let mut listener = net.listen("server")?;
//! net.link("client", "server").latency(Duration::from_millis(5)).torn();
//! net.one_way("server", "client").kill_after(3);
//!
//! let mut client = net.connect("client", "server").await?;
//! let (mut server, _) = listener.accept().await?;
//! client.write_all(b"ping").await?;
//! server.read_exact(&mut [0; 4]).await?;
//!
//! assert!(server.write_all(b"pong").await.is_err());
//! let mut answer = Vec::new();
//! assert!(client.read_to_end(&mut answer).await.is_err());
//! assert_eq!(answer, b"pon");
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!   MemNetwork ─── names, seed                     Link: what a test changes
//!       │                                                     │
//!       │ connect, listen                                     ▼
//!       ▼                            Path: the conditions from one name to another
//!   MemStream ◄──┐                                            │ read at each operation
//!                ├── Connection ── two Pipes: bytes, arrivals, wakers
//!   MemStream ◄──┘
//! ```

mod connection;
mod link;
mod network;
mod path;
mod pipe;
mod stream;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::{
    link::Link,
    network::{MemDialer, MemListener, MemNetwork},
    stream::MemStream,
};

/// Bytes in flight in each direction of a stream, unless [`Link::capacity`] says otherwise.
pub const DEFAULT_CAPACITY: usize = 64 * 1024;

/// A test that panics while it holds a lock must not hide its message behind those of others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
