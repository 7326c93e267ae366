//! What two sides say before the first frame, to agree on compression.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Algorithm;
use crate::{
    transport::Io,
    wire::numbers::{
        offer::{LEN, MAGIC, PLAIN, VERSION},
        preface,
    },
};

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
        if read(io, &mut bytes).await? == 0 || !begins(&bytes, &MAGIC) {
            return Ok(Err(bytes));
        }
    }
    let (version, sends, takes) = (bytes[5], bytes[6], bytes[7]);
    Ok(Ok(match version {
        VERSION => Offer {
            // What it would compress by, but is not known here, is not chosen.
            sends: Algorithm::of(sends),
            takes,
        },
        // What the rest of it means is not known here: nothing is taken up.
        _ => Offer {
            sends: None,
            takes: 0,
        },
    }))
}

/// Answers an offer.
pub(super) async fn reply(io: &mut impl Io, answer: &Answer) -> io::Result<()> {
    let [to_server, to_client] = [answer.to_server, answer.to_client].map(number);
    say(io, to_server, to_client).await
}

/// Makes an offer, and waits for the answer; or gives back what was read, of a server that answers with its wire.
pub(super) async fn ask(io: &mut impl Io, offer: &Offer) -> io::Result<Result<Answer, Vec<u8>>> {
    say(io, number(offer.sends), offer.takes).await?;
    let wrong = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let mut bytes = Vec::with_capacity(LEN);
    while bytes.len() < LEN {
        if read(io, &mut bytes).await? == 0 {
            let text = "it closed the stream instead of answering the offer of compression";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        if begins(&bytes, &preface::MAGIC) {
            if bytes.len() >= preface::MAGIC.len() {
                return Ok(Err(bytes));
            }
        } else if !begins(&bytes, &MAGIC) {
            return Err(wrong(match bytes[..] {
                // An alert: it cannot make sense of what is no TLS.
                [0x15, ..] => "it speaks TLS",
                _ => "it does not speak steeple",
            }));
        }
    }
    let (version, to_server, to_client) = (bytes[5], bytes[6], bytes[7]);
    if version != VERSION && (to_server, to_client) != (PLAIN, PLAIN) {
        return Err(wrong("it answers with another version of compression"));
    }
    let [to_server, to_client] = [to_server, to_client].map(|it| (it, Algorithm::of(it)));
    let unknown = |(number, algorithm): (u8, Option<_>)| number != PLAIN && algorithm.is_none();
    let unwanted = to_client.1.is_some_and(|it| offer.takes & it.bit() == 0);
    let other = to_server.1.is_some() && to_server.1 != offer.sends;
    if unknown(to_server) || unknown(to_client) || unwanted || other {
        return Err(wrong(
            "the other side chose a compression that was not offered",
        ));
    }
    Ok(Ok(Answer {
        to_server: to_server.1,
        to_client: to_client.1,
    }))
}

/// Reads once, up to the length of a preamble. How many bytes came.
async fn read(io: &mut impl Io, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut rest = [0; LEN];
    let read = io.read(&mut rest[bytes.len()..]).await?;
    let end = bytes.len() + read;
    bytes.extend_from_slice(&rest[bytes.len()..end]);
    Ok(read)
}

/// Whether this is what `magic` begins with, or begins with it.
fn begins(bytes: &[u8], magic: &[u8]) -> bool {
    let known = bytes.len().min(magic.len());
    bytes[..known] == magic[..known]
}

async fn say(io: &mut impl Io, one: u8, other: u8) -> io::Result<()> {
    let [a, b, c, d, e] = MAGIC;
    io.write_all(&[a, b, c, d, e, VERSION, one, other]).await?;
    io.flush().await
}

fn number(algorithm: Option<Algorithm>) -> u8 {
    algorithm.map_or(PLAIN, Algorithm::bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client with this offer makes of these answers.
    async fn asked(offer: Offer, answer: &[u8]) -> Result<Result<Answer, Vec<u8>>, String> {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
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
        let chosen = asked(both, &answer(bit, bit)).await.unwrap().unwrap();
        assert_eq!(chosen.to_server, Some(algorithm));
        assert_eq!(chosen.to_client, Some(algorithm));
        // One that knows only another version says no more than that it is plain.
        for version in [VERSION, 9] {
            let mut answer = answer(0, 0);
            answer[5] = version;
            let plain = asked(both, &answer).await.unwrap().unwrap();
            assert_eq!((plain.to_server, plain.to_client), (None, None));
        }

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
            let error = asked(offer, &answer).await.unwrap_err();
            assert!(error.contains("not offered"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_answers_otherwise_is_known_by_its_first_bytes() {
        let offer = Offer {
            sends: None,
            takes: 1,
        };
        // That of the wire: it does not compress.
        let [a, b, c, d, e, f] = preface::MAGIC;
        let opening = [a, b, c, d, e, f, 1, 1];
        assert_eq!(asked(offer, &opening).await, Ok(Err(opening.to_vec())));
        for (answer, told) in [
            (&b"H"[..], "does not speak steeple"),
            (b"\x15\x03\x03\x00\x02\x02\x0A", "speaks TLS"),
            (&opening[..5], "closed the stream"),
            (b"\x9Dz\xF3\r\n\x09\x01\x01", "another version"),
        ] {
            let error = asked(offer, answer).await.unwrap_err();
            assert!(error.contains(told), "{error}");
        }
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
    async fn of_an_offer_of_another_version_nothing_is_taken_up() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut offer = answer(1, 3);
        for version in [0, VERSION + 1, 255] {
            offer[5] = version;
            far.write_all(&offer).await.unwrap();
            let taken = accept(&mut near).await.unwrap().unwrap();
            assert!(taken.is_nothing(), "{taken:?}");
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
