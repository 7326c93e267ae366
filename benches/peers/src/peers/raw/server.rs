//! One task per connection: read, echo every whole frame, write once.

use std::future::poll_fn;
use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::frames::{self, Frames};

/// Echoes frames until the client hangs up.
pub(super) async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut frames = Frames::new();
    let mut out = Vec::new();
    while poll_fn(|cx| frames.poll_fill(cx, &mut stream)).await? > 0 {
        while let Some((id, payload)) = frames.next() {
            frames::put(&mut out, id, payload);
        }
        stream.write_all(&out).await?;
        out.clear();
    }
    Ok(())
}
