//! A bare tokio multiplexer: the baseline of the goals.
//!
//! Frames are `u32 length of the rest | u64 id | payload`, little-endian. The server has one task per connection,
//! which echoes every whole frame of a read into one buffer and writes that once. The client encodes into a buffer
//! that its callers share; one task per connection reads and writes, and before it writes it yields once, so that
//! every caller that is about to call joins the same write. A task that has many calls at once encodes them under one
//! lock and is woken once. A message without an answer has a number of its own kind, which the server only counts.

mod batch;
mod client;
mod frames;
mod server;

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use crate::Error;
use crate::peers::{Handler, Peer};
use crate::workload::Over;

/// The peer `raw`.
#[derive(Debug)]
pub(crate) struct Raw;

impl Peer for Raw {
    type Caller = client::Connection;

    async fn serve(listener: TcpListener, handler: Handler, _: Over) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(server::answer(stream, handler));
        }
    }

    async fn connect(addr: SocketAddr, _: Over) -> Result<client::Connection, Error> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(client::Connection::start(stream))
    }
}
