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
    let unwanted = to_client.1.is_some_and(|it| offer.takes & it.bit() == 0);
    let other = to_server.1.is_some() && to_server.1 != offer.sends;
    if unknown(to_server) || unknown(to_client) || unwanted || other {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client with this offer makes of these answers.
    async fn asked(offer: Offer, answer: [u8; LEN]) -> Result<Answer, String> {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&answer).await.unwrap();
        let asked = ask(&mut near, &offer).await;
        asked.map_err(|error| error.to_string())
    }

    fn answer(to_server: u8, to_client: u8) -> [u8; LEN] {
        let [a, b, c, d, e] = MAGIC;
        [a, b, c, d, e, VERSION, to_server, to_client]
    }

    #[tokio::test]
    async fn only_what_was_offered_is_taken_for_an_answer() {
        let algorithm = Algorithm::ALL[0];
        let bit = algorithm.bit();
        let both = Offer {
            sends: Some(algorithm),
            takes: bit,
        };
        let chosen = asked(both, answer(bit, bit)).await.unwrap();
        assert_eq!(chosen.to_server, Some(algorithm));
        assert_eq!(chosen.to_client, Some(algorithm));
        let plain = asked(both, answer(0, 0)).await.unwrap();
        assert_eq!((plain.to_server, plain.to_client), (None, None));

        let neither = Offer {
            sends: None,
            takes: 0,
        };
        for (offer, answer) in [
            (both, answer(64, 0)),
            (both, answer(0, 64)),
            (neither, answer(bit, 0)),
            (neither, answer(0, bit)),
            (neither, answer(64, 0)),
        ] {
            let error = asked(offer, answer).await.unwrap_err();
            assert!(error.contains("not offered"), "{error}");
        }
        let error = asked(both, *b"HTTP/1.1").await.unwrap_err();
        assert!(error.contains("is none"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_offer_is_given_back_at_its_first_foreign_byte() {
        for text in [&b"\x9Est"[..], b"G", b"\x9Dz!"] {
            let (mut near, mut far) = tokio::io::duplex(64);
            far.write_all(text).await.unwrap();
            let given = accept(&mut near).await.unwrap();
            assert_eq!(given, Err(text.to_vec()));
        }
    }

    #[tokio::test]
    async fn an_offer_that_comes_byte_by_byte_is_one() {
        let (mut near, mut far) = tokio::io::duplex(1);
        let offer = answer(64, 3);
        let writing = async { far.write_all(&offer).await.unwrap() };
        let (taken, ()) = tokio::join!(accept(&mut near), writing);
        // What it would compress by is not known here.
        let expected = Offer {
            sends: None,
            takes: 3,
        };
        assert_eq!(taken.unwrap(), Ok(expected));
    }
}
