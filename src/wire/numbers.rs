//! Every number on the native wire, and of what may lie around it, in one place.

/// What a dialling side writes first; the accepting side answers with the same.
pub mod preface {
    /// The first bytes. The first cannot begin any text, TLS, HTTP, gob or JSON stream, the fourth has its high
    /// bit set, and the line end shows a stream that was treated as text.
    pub const MAGIC: [u8; 6] = [0x9E, b's', b't', 0xF0, 0x0D, 0x0A];
    /// The newest version spoken here.
    pub const MAX_VERSION: u8 = 1;
    /// The oldest version spoken here.
    pub const MIN_VERSION: u8 = 1;
    /// Length: the magic and two versions.
    pub const LEN: usize = 8;
}

/// What a dialling side may write before its preface, to have the stream compressed.
pub mod offer {
    /// The first bytes. They differ from those of a [`preface`](super::preface) in each that is no line end.
    pub const MAGIC: [u8; 5] = [0x9D, b'z', 0xF3, 0x0D, 0x0A];
    /// The one version. Another has the same length, and in its answer the same word for a stream that stays plain.
    pub const VERSION: u8 = 1;
    /// Length: the magic, the version, and what is offered.
    pub const LEN: usize = 8;
    /// A direction that is not compressed.
    pub const PLAIN: u8 = 0;
    /// Zstandard: the number of the algorithm, and its bit among those that are taken.
    pub const ZSTD: u8 = 1;
    /// DEFLATE without a header; the same.
    pub const DEFLATE: u8 = 2;
}

/// What both sides of TLS say that they speak in it.
pub mod tls {
    /// The name of the native wire in ALPN.
    pub const ALPN: &[u8] = b"steeple/1";
}

/// Frame kinds. Below [`IGNORABLE`](kind::IGNORABLE) an unknown kind ends the connection, from it on it is skipped.
pub mod kind {
    /// Limits and abilities, once, first.
    pub const HELLO: u8 = 1;
    /// A call.
    pub const REQUEST: u8 = 2;
    /// Its one answer.
    pub const RESPONSE: u8 = 3;
    /// A message without an answer.
    pub const ONEWAY: u8 = 4;
    /// More of a message.
    pub const DATA: u8 = 5;
    /// A call taken back, or a chunked answer ended.
    pub const CANCEL: u8 = 6;
    /// Reserved for the credit of streams.
    pub const CREDIT: u8 = 7;
    /// Is the peer there?
    pub const PING: u8 = 8;
    /// It is.
    pub const PONG: u8 = 9;
    /// A side stops.
    pub const GOAWAY: u8 = 10;
    /// Reserved for limits that change.
    pub const SETTINGS: u8 = 11;
    /// From now on a number stands for a method.
    pub const BIND: u8 = 12;
    /// Reserved: the rest of this direction is coded otherwise.
    pub const SWITCH: u8 = 13;
    /// The first kind that is skipped where it is not known.
    pub const IGNORABLE: u8 = 0x80;
    /// To be skipped.
    pub const PAD: u8 = 0xFF;
}

/// Header flags.
pub mod flag {
    /// The message continues in DATA frames.
    pub const MORE: u8 = 0x01;
    /// Reserved for streams.
    pub const STREAM: u8 = 0x02;
    /// The payload begins with metadata.
    pub const META: u8 = 0x04;
    /// The body is compressed.
    pub const COMPRESSED: u8 = 0x08;
    /// The body is raw, not in the encoding bound with the method.
    pub const RAW: u8 = 0x10;
    /// On DATA: the last of its message.
    pub const END: u8 = 0x20;
    /// Reserved; ignored.
    pub const RESERVED_IGNORABLE: u8 = 0x40;
    /// Reserved; a receiver that does not know it must not act on the message.
    pub const RESERVED_CRITICAL: u8 = 0x80;
}

/// Keys of HELLO, in u16. The high bit marks a key that must be understood.
pub mod hello {
    /// u32.
    pub const MAX_FRAME: u16 = 1;
    /// u64.
    pub const MAX_MESSAGE: u16 = 2;
    /// u32.
    pub const MAX_CALLS: u16 = 3;
    /// Reserved for streams: u32.
    pub const CALL_CREDIT: u16 = 4;
    /// Reserved for streams: u32.
    pub const CONNECTION_CREDIT: u16 = 5;
    /// u16.
    pub const MAX_BINDINGS: u16 = 6;
    /// A byte for each compression of bodies that can be decoded.
    pub const COMPRESSIONS: u16 = 7;
    /// A byte for each encoding served.
    pub const ENCODINGS: u16 = 8;
    /// u64 of bits.
    pub const FEATURES: u16 = 9;
    /// u32 of milliseconds.
    pub const KEEPALIVE: u16 = 10;
    /// Reserved for what proves who the peer is.
    pub const AUTH: u16 = 11;
    /// UTF-8 text.
    pub const AGENT: u16 = 12;
    /// The bit of keys that must be understood.
    pub const CRITICAL: u16 = 0x8000;
}

/// Keys of BIND, in u16, after the same rule as those of HELLO.
pub mod bind {
    /// u8: the encoding of bodies that are not raw. Raw if absent.
    pub const ENCODING: u16 = 1;
    /// Reserved for a fingerprint of the method's signature: u64.
    pub const FINGERPRINT: u16 = 2;
}

/// Keys of metadata, in u8. Unknown ones are skipped.
pub mod metadata {
    /// A name of the user's: u8 length, name, then the value.
    pub const NAMED: u8 = 0;
    /// u64 of microseconds: the time that remains, where the header's field is too narrow.
    pub const DEADLINE: u8 = 1;
    /// u8 encoding, then the name: the method of a request with number 0.
    pub const METHOD: u8 = 2;
    /// u64 of microseconds: how long to wait before another attempt.
    pub const RETRY_AFTER: u8 = 3;
    /// UTF-8 text: a cause of an error, outermost first; may be repeated.
    pub const CAUSE: u8 = 4;
    /// u32: attempts that came before this one.
    pub const ATTEMPT: u8 = 5;
    /// Empty: a handler ran to its end and failed with an error that is not an application's.
    pub const EXECUTED: u8 = 6;
}

/// The status of an answer, the lower 15 bits of its code.
pub mod status {
    /// A success.
    pub const OK: u16 = 0;
    /// See [`Kind::Cancelled`](crate::Kind::Cancelled); and so on for each.
    pub const CANCELLED: u16 = 1;
    /// The deadline passed.
    pub const TIMEOUT: u16 = 2;
    /// The method is not known.
    pub const UNIMPLEMENTED: u16 = 3;
    /// A queue or a budget is full.
    pub const EXHAUSTED: u16 = 4;
    /// The server cannot serve now.
    pub const UNAVAILABLE: u16 = 5;
    /// The request cannot be.
    pub const INVALID: u16 = 6;
    /// The caller is not known.
    pub const UNAUTHENTICATED: u16 = 7;
    /// The caller may not.
    pub const PERMISSION_DENIED: u16 = 8;
    /// A defect.
    pub const INTERNAL: u16 = 9;
    /// A server behind the server failed: a connection, or no replica reachable.
    pub const UNREACHABLE: u16 = 10;
    /// The first code of applications.
    pub const APPLICATION: u16 = 0x100;
    /// The last code of applications.
    pub const APPLICATION_LAST: u16 = 0x7FFF;
    /// The bit that says that no handler ran.
    pub const NOT_PROCESSED: u16 = 0x8000;
}

/// Values of the field of REQUEST that holds the time that remains, in microseconds.
pub mod deadline {
    /// There is no deadline.
    pub const NONE: u32 = 0;
    /// The time is too long for the field and stands in the metadata.
    pub const IN_METADATA: u32 = u32::MAX;
}

/// The length of a message that says before its first byte that more follows.
pub mod total {
    /// The length is not known yet.
    pub const UNKNOWN: u64 = u64::MAX;
}

/// Why a call was taken back (CANCEL) or a side stops (GOAWAY).
pub mod reason {
    /// Nobody waits any more.
    pub const DROPPED: u16 = 1;
    /// A deadline passed.
    pub const TIMEOUT: u16 = 2;
    /// The side drains.
    pub const SHUTDOWN: u16 = 3;
    /// A drain was read.
    pub const ACK: u16 = 4;
    /// At once.
    pub const NOW: u16 = 5;
    /// The connection was idle.
    pub const IDLE: u16 = 6;
    /// The protocol was broken.
    pub const PROTOCOL: u16 = 7;
    /// No version in common.
    pub const VERSION: u16 = 8;
    /// A limit was passed.
    pub const LIMIT: u16 = 9;
    /// The connection was not wanted.
    pub const REFUSED: u16 = 10;
}

/// The encodings of this crate's codecs.
pub mod encoding {
    use crate::Encoding;

    /// bincode 2, fixed-width little-endian integers.
    pub const BINCODE: Encoding = Encoding::new(1);
    /// JSON.
    pub const JSON: Encoding = Encoding::new(2);
    /// postcard.
    pub const POSTCARD: Encoding = Encoding::new(3);
    /// MessagePack.
    pub const MSGPACK: Encoding = Encoding::new(4);
    /// Never on the wire: the encoding that was bound with the method of the call that a body answers. A
    /// decoder marks answers with it; the connection, which knows the call, puts the real one there.
    pub const BOUND: Encoding = Encoding::new(255);

    /// The name of an encoding, for messages; `"unknown"` if it is not one of this crate's.
    pub const fn name(encoding: Encoding) -> &'static str {
        match encoding {
            Encoding::RAW => "raw",
            BINCODE => "bincode",
            JSON => "json",
            POSTCARD => "postcard",
            MSGPACK => "msgpack",
            _ => "unknown",
        }
    }
}

/// Compressions of single bodies.
pub mod compression {
    /// A block of LZ4.
    pub const LZ4: u8 = 1;
    /// A frame of Zstandard.
    pub const ZSTD: u8 = 2;
    /// Bytes in front of a compressed body: u8 compression, u32 plain length.
    pub const PREFIX: usize = 5;
}

/// What a peer may rely on before it has read the other's HELLO. HELLO can only raise these.
pub mod floor {
    /// Frames of up to 128 KiB of payload.
    pub const MAX_FRAME: u32 = 128 * 1024;
    /// Messages of up to 64 MiB.
    pub const MAX_MESSAGE: u64 = 64 * 1024 * 1024;
    /// Outstanding calls.
    pub const MAX_CALLS: u32 = 65_536;
    /// Methods bound to a number.
    pub const MAX_BINDINGS: u16 = 1024;
}

/// What nobody can change: how much a peer may say, and how often.
pub mod limit {
    /// Bytes of metadata of one message.
    pub const MAX_METADATA: usize = 16 * 1024;
    /// Names of the user's in the metadata of one message: each costs far more memory than its wire bytes.
    pub const MAX_METADATA_NAMES: usize = 256;
    /// Bytes of a method's name: its length is one byte.
    pub const MAX_METHOD: usize = 255;
    /// TLVs of one frame. More than three times what is defined, and little enough that a frame full of empty
    /// ones is no work.
    pub const MAX_ENTRIES: usize = 64;
    /// Bytes of the name that a side gives itself; of a longer one the rest is not kept.
    pub const MAX_AGENT: usize = 255;
    /// Bytes of the text of an error. Longer ones are cut: a text is for people.
    pub const MAX_TEXT: usize = 4 * 1024;
    /// Causes of an error that travel, or are kept.
    pub const MAX_CAUSES: usize = 8;
    /// Bytes of the text of a cause: all of them fit into the metadata.
    pub const MAX_CAUSE: usize = 1024;
    /// Bytes of the text of a GOAWAY.
    pub const MAX_FAREWELL: usize = 1024;
    /// The longest body that goes out in one piece, and the length of the pieces of a longer one. Small enough
    /// for a small message's p99 to stay at 30 µs beside a large one, large enough for the full throughput.
    pub const CHUNK: usize = 64 * 1024;
    /// Messages under way at once: each costs some hundred bytes that no budget sees. A sender shares its
    /// bandwidth between those it has under way, so more would come no sooner.
    pub const MAX_OPEN: usize = 4096;
    /// Pieces without a byte in a row. Honest senders write none, and each costs its reader a lookup.
    pub const MAX_EMPTY: u32 = 1024;
    /// Bytes of unfinished messages that must come within a frame's time. Less is a peer that holds the memory
    /// of what it has sent, or of what is known of messages that were refused, and means to send no more.
    pub const LEAST_PROGRESS: u64 = 1024;
    /// Pings in a second. Keepalive needs one in many; more are a flood.
    pub const MAX_PINGS_PER_SECOND: u32 = 1000;
    /// Bytes that entitle their sender to another ping: it may mark how far a large message was read.
    pub const BYTES_PER_PING: u64 = 64 * 1024;
    /// Bytes of refusals and pongs that wait to be written. A peer that reads none of so many is not going to.
    pub const MAX_REFLEX_BYTES: usize = 1024 * 1024;
}
