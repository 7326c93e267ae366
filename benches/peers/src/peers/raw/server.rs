//! One task per connection: read, answer every whole frame, write once.

use std::future::poll_fn;
use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::frames::{self, Frames};
use crate::peers::handler::{Handler, count, receipt};

/// Answers frames until the client hangs up.
pub(super) async fn answer(mut stream: TcpStream, handler: Handler) -> io::Result<()> {
    let mut frames = Frames::new();
    let mut out = Vec::new();
    while poll_fn(|cx| frames.poll_fill(cx, &mut stream)).await? > 0 {
        while let Some((id, payload)) = frames.next() {
            match handler {
                _ if id == frames::ONE_WAY => count(),
                Handler::Receipt => frames::put(&mut out, id, &receipt(payload)),
                _ => frames::put(&mut out, id, payload),
            }
        }
        stream.write_all(&out).await?;
        out.clear();
    }
    Ok(())
}
