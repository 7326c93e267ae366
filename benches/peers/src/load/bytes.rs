//! Calls that differ, and how many bytes they take on the wire: through a proxy in this process, which counts.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::spawn;
use crate::Error;
use crate::harness::probe::{Meter, Probe};
use crate::peers::Caller;

/// Bytes that the proxy moves at once.
const CHUNK: usize = 64 * 1024;

/// Echoes messages as long as `wanted`, beginning with the one at `first`.
pub(super) async fn run_while<C: Caller>(
    mut caller: C,
    messages: &[Bytes],
    first: usize,
    meter: &mut Meter,
    wanted: impl Fn() -> bool + Send,
) -> Result<(), Error> {
    for message in messages.iter().cycle().skip(first) {
        if !wanted() {
            break;
        }
        let began = meter.begin();
        caller.echo(message).await?;
        meter.end(began);
    }
    Ok(())
}

/// Forwards every connection to the server and counts the bytes of both directions.
pub(super) async fn proxy(server: SocketAddr, probe: &'static Probe) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    spawn(async move {
        loop {
            let (near, _) = listener.accept().await?;
            let far = TcpStream::connect(server).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            spawn(forward(from_near, to_far, probe));
            spawn(forward(from_far, to_near, probe));
        }
    });
    Ok(addr)
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    probe: &Probe,
) -> Result<(), Error> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        probe.count_bytes(read);
        to.write_all(&chunk[..read]).await?;
    }
}
