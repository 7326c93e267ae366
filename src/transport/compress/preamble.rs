//! What two sides say before the first frame, to agree on compression.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Algorithm;
use crate::transport::Io;

/// The first byte is none of a wire's, of TLS' or of a text's; the line break is lost where something takes the
/// stream for text.
const MAGIC: [u8; 5] = [0x9D, b'z', 0xF3, b'\r', b'\n'];

/// Both sides have to have the same: another one would have another preamble.
const VERSION: u8 = 1;

const LEN: usize = MAGIC.len() + 3;

/// What a client would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) sends: Option<Algorithm>,
    /// The bits of the algorithms.
    pub(super) takes: u8,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) to_server: Option<Algorithm>,
    pub(super) to_client: Option<Algorithm>,
}

impl Offer {
    /// Whether nothing is offered.
    pub(super) fn is_nothing(&self) -> bool {
        self.sends.is_none() && self.takes == 0
    }
}

/// Reads an offer; or gives back what was read, of a client that does not make one.
pub(super) async fn accept(io: &mut impl Io) -> io::Result<Result<Offer, Vec<u8>>> {
    let mut bytes = Vec::with_capacity(LEN);
    // Looked at as it comes: who speaks something else may wait for an answer to fewer bytes.
    while bytes.len() < LEN {
        let mut rest = [0; LEN];
        let read = io.read(&mut rest[bytes.len()..]).await?;
        let end = bytes.len() + read;
        bytes.extend_from_slice(&rest[bytes.len()..end]);
        let known = bytes.len().min(MAGIC.len());
        if read == 0 || bytes[..known] != MAGIC[..known] {
            return Ok(Err(bytes));
        }
    }
    let (version, sends, takes) = (bytes[5], bytes[6], bytes[7]);
    if version != VERSION {
        let text =
            format!("compression of version {version} is offered, and {VERSION} is done here");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    // What it would compress by, but is not known here, is not chosen.
    let sends = Algorithm::of(sends);
    Ok(Ok(Offer { sends, takes }))
}

/// Answers an offer.
pub(super) async fn reply(io: &mut impl Io, answer: &Answer) -> io::Result<()> {
    let [to_server, to_client] = [answer.to_server, answer.to_client].map(number);
    say(io, to_server, to_client).await
}

/// Makes an offer, and waits for the answer.
pub(super) async fn ask(io: &mut impl Io, offer: &Offer) -> io::Result<Answer> {
    say(io, number(offer.sends), offer.takes).await?;
    let mut bytes = [0; LEN];
    io.read_exact(&mut bytes).await?;
    let wrong = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let [.., version, to_server, to_client] = bytes;
    if bytes[..MAGIC.len()] != MAGIC || version != VERSION {
        return Err(wrong("the answer to the offer of compression is none"));
    }
    let [to_server, to_client] = [to_server, to_client].map(|it| (it, Algorithm::of(it)));
    let unknown = |(number, algorithm): (u8, Option<_>)| number != 0 && algorithm.is_none();
    if unknown(to_client) || (to_server.0 != 0 && to_server.1 != offer.sends) {
        return Err(wrong(
            "the other side chose a compression that was not offered",
        ));
    }
    Ok(Answer {
        to_server: to_server.1,
        to_client: to_client.1,
    })
}

async fn say(io: &mut impl Io, one: u8, other: u8) -> io::Result<()> {
    let [a, b, c, d, e] = MAGIC;
    io.write_all(&[a, b, c, d, e, VERSION, one, other]).await?;
    io.flush().await
}

fn number(algorithm: Option<Algorithm>) -> u8 {
    algorithm.map_or(0, Algorithm::bit)
}
