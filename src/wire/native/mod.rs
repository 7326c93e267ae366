//! The native wire, version 1.
//!
//! This page is its specification: who follows it can talk to any steeple, in any language. All integers are
//! little-endian and unsigned, all texts UTF-8, all lengths in bytes. The numbers behind the names in
//! CAPITALS are in [`numbers`](super::numbers).
//!
//! # Opening
//!
//! A connection is any reliable stream of bytes. Each direction of it is a preface, then frames.
//!
//! ```text
//!    0      1      2      3      4      5      6      7
//! ┌──────┬──────┬──────┬──────┬──────┬──────┬──────┬──────┐
//! │  9E  │ 's'  │ 't'  │  F0  │  0D  │  0A  │ max  │ min  │   preface
//! └──────┴──────┴──────┴──────┴──────┴──────┴──────┴──────┘
//! ```
//!
//! *max* and *min* are the newest and the oldest version that a side speaks. The version of the connection is
//! the smaller of the two maxima; if that is below either minimum, the connection ends with VERSION.
//!
//! The side that dialled writes first. The side that accepted writes nothing before it has read the peer's
//! preface, since other protocols may share its port; only if it ends the connection before that, it says why:
//! its preface, and GOAWAY. The first frame of each direction is HELLO, and there is
//! one; only GOAWAY may come before it. A side may send requests right behind its HELLO, without having read
//! the peer's: until then these limits hold, and HELLO can only raise them.
//!
//! | the floor | |
//! |---|---|
//! | payload of a frame | 128 KiB |
//! | body of a message | 64 MiB |
//! | requests without an answer | 65 536 |
//! | bindings | 1024 |
//! | metadata of a message | 16 KiB and 256 names (HELLO does not raise these) |
//!
//! # Around it
//!
//! In TLS both sides name `steeple/1` in ALPN. A stream can be compressed as a whole, too. The side that dialled
//! then says before its preface what it would do, and waits for an answer of the same form:
//!
//! ```text
//!    0      1      2      3      4      5      6          7
//! ┌──────┬──────┬──────┬──────┬──────┬──────┬──────────┬──────────┐
//! │  9D  │ 'z'  │  F3  │  0D  │  0A  │  1   │ sends    │ takes    │   offer, of who dialled
//! ├──────┼──────┼──────┼──────┼──────┼──────┼──────────┼──────────┤
//! │  9D  │ 'z'  │  F3  │  0D  │  0A  │  1   │ to server│ to client│   answer
//! └──────┴──────┴──────┴──────┴──────┴──────┴──────────┴──────────┘
//! ```
//!
//! | algorithm | |
//! |---|---|
//! | 0 | none: the direction is plain |
//! | 1 ZSTD | frames of Zstandard, one behind the other, each with a window of at most 32 KiB |
//! | 2 DEFLATE | one stream of raw DEFLATE, without a header |
//!
//! *sends* is the algorithm that the client would compress by. *takes* is the sum of those that it decompresses.
//! The answer chooses for each direction: *to server* is *sends* or 0, *to client* one of *takes* or 0. What
//! follows is compressed so, beginning with the preface, and flushed where its writer waits for an answer.
//!
//! The byte 5 is the version, of which there is this one. An offer of another, which is as long, is answered with the
//! version of the server and twice 0: the stream stays plain, whatever the client would have liked. So a client may offer
//! the latest that it knows, and takes twice 0 for the answer of a server of any version.
//!
//! A client that would not have the stream compressed begins with its preface, and a server tells by the first byte. A
//! server that compresses nothing skips the offer and writes its preface at once, by which the client knows that
//! the stream stays plain; then the opening goes on as above.
//!
//! What is decompressed is read like any stream, so it takes no more memory. Input that becomes more than 2048 times
//! its size by Zstandard, or 512 times by DEFLATE, beyond the first megabyte, ends the connection: zeros have to be flushed
//! often enough to stay below that, which costs some bytes each time. Who sends such input, or what is no compressed
//! stream, is told by a GOAWAY with PROTOCOL.
//!
//! # Frames
//!
//! ```text
//!    0      1      2      3      4      5      6      7
//! ┌───────────────────────────┬──────┬──────┬─────────────┐
//! │            len            │ kind │flags │    code     │
//! ├───────────────────────────┼──────┴──────┴─────────────┤
//! │            id             │            aux            │
//! ├───────────────────────────┴───────────────────────────┤
//! │                  payload (len bytes)                   …
//! └───────────────────────────────────────────────────────
//! ```
//!
//! A field that its kind does not use is 0 when sent and ignored when received.
//!
//! | kind | | code | id | aux | payload |
//! |---|---|---|---|---|---|
//! | 1 | HELLO | | | | TLVs |
//! | 2 | REQUEST | method number | the call's | deadline | message |
//! | 3 | RESPONSE | status | the call's | | message |
//! | 4 | ONEWAY | method number | the message's with MORE, else 0 | | message |
//! | 5 | DATA | | the message's | | more of its body |
//! | 6 | CANCEL | reason | the message's | | |
//! | 8 | PING | | | nonce | |
//! | 9 | PONG | | | the ping's nonce | |
//! | 10 | GOAWAY | reason | | | text, at most 1024 are kept |
//! | 12 | BIND | method number | | | a name, then TLVs |
//! | 255 | PAD | | | | anything; skipped |
//!
//! Kinds 0 to 127 must be known: any other than these ends the connection. Kinds from 128 are skipped where
//! they are not known. What a later version has put behind the payload of a kind, or behind a value of fixed
//! length, is ignored. A frame longer than `max_frame` ends the connection.
//!
//! | flag | | |
//! |---|---|---|
//! | 01 | MORE | on a message: its body continues in DATA |
//! | 02 | STREAM | reserved |
//! | 04 | META | on a message: metadata stands before the body |
//! | 08 | COMPRESSED | on a message: the body is [compressed](#compression) |
//! | 10 | RAW | on a message: the body is not in the encoding that was bound with the method |
//! | 20 | END | on DATA: the last of its message |
//! | 40 | | reserved, ignored |
//! | 80 | | reserved, critical: a REQUEST is answered with UNIMPLEMENTED, anything else ends the connection |
//!
//! A REQUEST with STREAM is answered with UNIMPLEMENTED, not processed; DATA follows it as with MORE.
//!
//! **TLVs** are `u16 key, u16 length, value`, at most 64 in a frame. The high bit of a key says that it must be
//! understood: the connection ends if it is not. Other unknown keys are skipped.
//!
//! | HELLO | value | if absent |
//! |---|---|---|
//! | 1 `max_frame` | u32: the longest payload that the sender takes | the floor |
//! | 2 `max_message` | u64: the longest body | the floor |
//! | 3 `max_calls` | u32: requests that it may have to answer at once | the floor |
//! | 6 `max_bindings` | u16: methods that it binds | the floor |
//! | 7 compressions | a byte for each that it decodes, the best first; unknown ones are skipped | none |
//! | 8 encodings | a byte for each that it serves beside raw | all |
//! | 12 agent | text: what it calls itself, at most 255 are kept | empty |
//!
//! # Ids
//!
//! The lowest bit of an id tells who opened the message: 0 the side that dialled, 1 the side that accepted. The
//! other 31 bits are the opener's choice; all of them 0 is no message's id. A RESPONSE has its request's id.
//!
//! A request has **exactly one** RESPONSE, also after CANCEL, a deadline or GOAWAY, and counts against
//! `max_calls` until then. Its id is free again when the last byte of that RESPONSE has come *and* the opener
//! has written the last byte of the request, or CANCEL. The id of a ONEWAY with MORE is free when END or CANCEL
//! is written. To begin a message under an id that is not free ends the connection; so does an id of the wrong
//! side. A RESPONSE or CANCEL for an id that is not in use is ignored: it may have crossed something.
//!
//! # Methods
//!
//! A method is named once and then called by its number. BIND says so, in each direction on its own:
//!
//! ```text
//! ┌────┬──────────────────┬─────────────────────────┐
//! │ n  │  name (n bytes)  │ TLVs                    │   code: the number bound
//! └────┴──────────────────┴─────────────────────────┘
//!   TLV 1, u8: the encoding of bodies of this method that are not raw; absent: 0, raw
//! ```
//!
//! Numbers are given densely, 1, 2, 3, … up to the peer's `max_bindings`; anything else ends the connection.
//! A name may be empty and need not be known to the peer: its calls are then answered with UNIMPLEMENTED. The
//! same name with another encoding has another number. Where no number is left, a message has number 0 and
//! the name in its metadata. A number that is not bound, and an encoding that is not served, are answered
//! with INVALID, not processed.
//!
//! # Messages
//!
//! The payload of a REQUEST, RESPONSE or ONEWAY, from left to right:
//!
//! ```text
//!  with META                      with MORE
//! ┌─────┬───────────────────────┬───────────┬──────────────────┐
//! │ u16 │ entries (u16 bytes)   │ u64 total │ body             │
//! └─────┴───────────────────────┴───────────┴──────────────────┘
//!        entry: u8 key, u16 length, value
//! ```
//!
//! *total* is the length of the whole body, this frame's part included; all ones if it is not known yet. The
//! rest of the body comes in DATA frames of the same id, in order, the last of them with END, and other frames
//! may stand between them. A body that is longer than *total*, or ends before it, ends the connection. So does
//! DATA for a message that is not under way. This side sends bodies above 64 KiB so, in pieces of 64 KiB. Behind
//! each it puts a PING, and it lets pieces go no further past the last one that was answered than a window: it
//! begins with 128 KiB, and grows to what the path holds, at most 16 MiB. So small messages do not stand behind
//! megabytes in buffers; and a peer that does not answer PINGs gets the first 128 KiB of a long body, and no more.
//!
//! *aux* of a REQUEST is the time that remains until the caller's deadline, in microseconds: 0 there is none,
//! all ones it stands in the metadata. The receiver counts it from when it reads the frame.
//!
//! | metadata | value | of |
//! |---|---|---|
//! | 0 NAMED | u8 length (not 0), name, then the value: the user's; may be repeated | all, but error answers |
//! | 1 DEADLINE | u64: microseconds | REQUEST with aux all ones |
//! | 2 METHOD | u8 encoding, then the name | REQUEST, ONEWAY with number 0 |
//! | 3 RETRY_AFTER | u64: microseconds to wait before another attempt | error answers |
//! | 4 CAUSE | text: a cause, outermost first; may be repeated, 8 are kept | error answers |
//! | 5 ATTEMPT | u32: attempts before this one; absent: 0 | REQUEST, ONEWAY |
//! | 6 EXECUTED | nothing: a handler ran to its end | error answers |
//!
//! Unknown keys are skipped. A block that cannot be read makes a request INVALID, not processed, and the
//! connection lives.
//!
//! # Answers
//!
//! *code* of a RESPONSE is 0 for a success; the body is then the answer's. Else its lower 15 bits are the status,
//! and bit 15, *not processed*, says that no handler has seen the request and it is safe to send it again.
//!
//! | status | | | status | |
//! |---|---|---|---|---|
//! | 1 | CANCELLED | | 6 | INVALID |
//! | 2 | TIMEOUT | | 7 | UNAUTHENTICATED |
//! | 3 | UNIMPLEMENTED | | 8 | PERMISSION_DENIED |
//! | 4 | EXHAUSTED | | 9 | INTERNAL; so is any that is not known |
//! | 5 | UNAVAILABLE | | 10 | UNREACHABLE: a server behind the server failed |
//! | 0x100 to 0x7FFF | the application's code, plus 0x100 | | | |
//!
//! The body of an error:
//!
//! ```text
//! ┌─────┬──────────────────┬──────────────────────────┐
//! │ u16 │ text (u16 bytes) │ details, the application's │   RAW: the details are raw
//! └─────┴──────────────────┴──────────────────────────┘
//! ```
//!
//! Without *not processed*, an error of the application and one with EXECUTED mean that the handler ran to its
//! end, and any other that it may have run.
//!
//! # Compression
//!
//! With COMPRESSED, this is what travels in the place of the body of a REQUEST, a ONEWAY or a RESPONSE that is a
//! success. The body of an error is never compressed.
//!
//! ```text
//! ┌──────────────┬─────────────────┬──────────────────┐
//! │ u8 algorithm │ u32 plain length │ compressed bytes │   1: a block of LZ4, 2: a frame of Zstandard
//! └──────────────┴─────────────────┴──────────────────┘
//! ```
//!
//! *total* and the lengths of pieces count these bytes; `max_message` holds for them and for the plain length. A side
//! sends only what its peer decodes, and so nothing compressed before it has read the peer's HELLO. The plain
//! length is exact. One that the bytes cannot stand for, more than 255 times as many with LZ4 and 32 768 times
//! with Zstandard, need not be tried.
//!
//! # Cancel
//!
//! CANCEL takes a message back that its sender, or the caller, does not want any more. It never passes frames
//! of its own id. For a request that is whole the receiver drops the handler and answers all the same. For a
//! message under way it stands in the place of END: what came is thrown away, and a request is answered with
//! CANCELLED, not processed. The side that answers ends a RESPONSE under way with it, and the call fails.
//!
//! A receiver may answer a request before its last byte has come, if it cannot take it: over `max_message`, or
//! with too much unfinished, with EXHAUSTED, not processed. The rest is then thrown away as it comes, until END
//! or CANCEL. A ONEWAY that cannot be taken is dropped.
//!
//! | reason | | of |
//! |---|---|---|
//! | 1 DROPPED | nobody waits any more | CANCEL |
//! | 2 TIMEOUT | the deadline passed; the peer took too long for something else | both |
//! | 3 SHUTDOWN | the side drains | both |
//! | 4 ACK | a GOAWAY was read | GOAWAY |
//! | 5 NOW | answers still owed will not come | both |
//! | 6 IDLE | nothing happened for too long | both |
//! | 7 PROTOCOL | the peer broke this protocol | both |
//! | 8 VERSION | no version in common | GOAWAY |
//! | 9 LIMIT | a limit was passed | both |
//! | 10 REFUSED | the connection is not wanted, and nothing on it was looked at | GOAWAY |
//!
//! # Liveness and farewell
//!
//! A PING is answered with a PONG of the same nonce as soon as it is read, and before the next piece of a long body.
//! The PONG stands behind what its sender had to write already, which can be much. So who asks counts from what it has
//! read last: whatever comes shows that the peer is there.
//!
//! GOAWAY says that its sender takes no new requests. The peer sends none after it has read it, and answers
//! GOAWAY(ACK); requests that crossed it are served, or answered with UNAVAILABLE, not processed. The sender
//! closes when it has read the ACK and written all answers. With NOW, with IDLE, since nobody seems to be there, and
//! where the protocol was broken, it closes at once. A GOAWAY before HELLO refuses the connection: nothing that was sent on it was looked at.
//!
//! # What ends a connection
//!
//! A peer that breaks a rule of this page: with PROTOCOL, and a text that names the rule. And one that asks for
//! too much. The numbers without *as told* are those of this side, in [`limit`](super::numbers::limit); who
//! stays below them has no trouble with any peer.
//!
//! | what | at most | else |
//! |---|---|---|
//! | the payload of a frame | `max_frame`, as told | PROTOCOL |
//! | TLVs of a frame | 64 | PROTOCOL |
//! | methods bound | `max_bindings`, as told | PROTOCOL |
//! | DATA frames without a byte, in a row, END apart | 1024 | PROTOCOL |
//! | messages refused before their END or CANCEL has come | `max_calls`, as told | PROTOCOL |
//! | pings | 1000 in a second, and one more with every 64 KiB | LIMIT |
//! | refusals and PONGs that the peer does not read | 1 MiB | LIMIT |
//! | the time until the preface and HELLO have come | 10 s | TIMEOUT |
//! | the time from the first byte of a frame to its last | 30 s | TIMEOUT |
//! | the time in which less than 1 KiB of messages with MORE comes, those refused included, and no PONG waits to be written | 30 s | TIMEOUT |
//! | the time in which the stream takes no byte | 30 s | TIMEOUT |
//! | the time until a PING is answered, after 30 s of silence | 10 s | TIMEOUT |
//! | the time from GOAWAY to the end | 30 s | NOW |
//!
//! The times are settings of each side; a limit on silence, with IDLE, and one on calls that stay without an
//! answer, with TIMEOUT, can be added to them.
//!
//! These are refused, and the connection lives. A ONEWAY is dropped, and of a RESPONSE the call fails:
//!
//! | what | at most | else |
//! |---|---|---|
//! | the body of a message | `max_message`, as told | EXHAUSTED, not processed |
//! | messages whose body is not whole | 4096, and the receiver's memory | EXHAUSTED, not processed |
//! | requests that wait to be handled | what the receiver likes | EXHAUSTED, not processed |
//! | metadata | 16 KiB, 256 names | INVALID, not processed |
//! | a compression that was not named in HELLO | | UNIMPLEMENTED, not processed |
//! | a compressed body that is damaged or not as long as it says | | INVALID, not processed |
//! | bodies decompressed for handlers that run | what the receiver likes | EXHAUSTED, not processed |
//! | the name of a method | 255 | cannot be said; in the metadata: INVALID, not processed |
//!
//! And these are cut by who writes them: the text of an error at 4096, a cause at 1024 and after 8 of them, the
//! text of a GOAWAY at 1024, an agent at 255.
//!
//! # A call, byte by byte
//!
//! The whole conversation of a side that dials and calls `Echo` with the JSON `42` …
//!
//! ```text
//! 9e7374f00d0a 01 01                     preface: versions 1 to 1
//! 00000000 01 00 0000 00000000 00000000  HELLO: the floor will do
//! 0a000000 0c 00 0100 00000000 00000000  BIND 1
//! 04 4563686f                            a name of 4 bytes: Echo
//! 0100 0100 02                           TLV 1: the encoding, JSON
//! 02000000 02 00 0100 02000000 40420f00  REQUEST 2 of method 1; 1 000 000 µs are left
//! 3432                                   42
//! ```
//!
//! … and of the one that answers `42`:
//!
//! ```text
//! 9e7374f00d0a 01 01                     preface
//! 00000000 01 00 0000 00000000 00000000  HELLO
//! 02000000 03 00 0000 02000000 00000000  RESPONSE 2: a success
//! 3432                                   42
//! ```

mod assembly;
mod bindings;
mod bulk;
mod decoder;
mod encoder;
mod head;
mod header;
mod limits;
mod meta;
mod opening;
mod plain;
mod reason;
mod refusal;
mod spare;
mod status;
mod tlv;

pub use self::{decoder::NativeDecoder, encoder::NativeEncoder, limits::Limits};
use super::{Capabilities, Role, Wire};

/// The native wire, to be put on a connection.
///
/// Cloned for every connection of a server or client, so that they share one
/// [budget](Limits::assembly_budget).
#[derive(Clone, Debug, Default)]
pub struct Native {
    limits: Limits,
    send_causes: bool,
}

impl Native {
    /// The wire with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            send_causes: false,
        }
    }

    /// Whether an error answer tells its causes: the texts of its `source()` chain, at most eight, each cut to
    /// 1 KiB. Off by default: causes name files, addresses and queries of the server.
    #[must_use]
    pub fn send_causes(mut self, send: bool) -> Self {
        self.send_causes = send;
        self
    }
}

impl Wire for Native {
    type Encoder = NativeEncoder;
    type Decoder = NativeDecoder;

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn split(self, role: Role) -> (NativeEncoder, NativeDecoder) {
        let decoder = NativeDecoder::new(&self.limits, role);
        (NativeEncoder::new(&self), decoder)
    }
}

/// At most `max` bytes of a text, cut between two characters.
fn truncated(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}
