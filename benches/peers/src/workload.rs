//! What is measured: each letter, its shape and its size.

use std::fmt;
use std::str::FromStr;

use steeple::codec::{AnyCodec, Bincode, Json, MsgPack, Postcard};

/// One letter of the table, or one variant of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// The letter that names it on the command line and in every row.
    pub(crate) letter: char,
    /// What tells it from others of its letter.
    pub(crate) variant: Option<&'static str>,
    /// How calls follow each other.
    pub(crate) shape: Shape,
    /// Connections between client and server.
    pub(crate) connections: usize,
    /// Callers per connection.
    pub(crate) callers: usize,
    /// Bytes in the body of a request, and of its answer; zero where the bodies are no plain bytes.
    pub(crate) payload: usize,
    /// What the connections go over.
    pub(crate) over: Over,
    /// Whether both processes share one CPU. Unpinned, a lone caller mostly measures how an idle CPU wakes up.
    pub(crate) pinned: bool,
}

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Every caller waits for the answer before its next call.
    Closed,
    /// One call per connection, and then silence: what a connection costs to keep.
    Idle,
    /// Few calls by the clock, first alone and then beside bodies of 64 MiB on the same connection.
    Beside,
    /// Closed to find the peak; then calls fall due by the clock, at half and at four fifths of it.
    Open,
    /// Every caller makes 512 calls at once, in one task, and waits for all.
    Batch,
    /// Closed; the bodies are JSON, which both sides read and write.
    Json,
    /// Closed, of messages of about 200 bytes that differ. Then the same through a proxy that counts.
    Bytes(Content),
    /// Messages without an answer, one after the other as long as there is room.
    OneWay,
    /// Closed; the callers share this many threads of their own, and no thread with the connection.
    Threads(usize),
    /// Closed; a value each way, which both sides encode and decode. Then the same through the proxy.
    Typed(Format),
    /// Closed, by `bare` alone: each setting of its connections.
    Settings,
    /// No connection: each stack of layers over an endpoint in the same process.
    Stack,
}

/// What a connection goes over. All but the first are variants of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Tls,
    /// TCP, compressed by zstd: the connection as a whole, or each message where a peer can only that.
    Zstd,
    /// TCP, compressed as a whole by DEFLATE.
    Deflate,
}

/// What messages consist of. Each is a variant of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    Text,
    Random,
}

/// How a value becomes bytes. Each is a variant of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Bincode,
    Json,
    MsgPack,
    Postcard,
    /// Protocol buffers.
    Prost,
}

/// What a person asks for: a letter with all its variants, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice(pub(crate) Vec<Workload>);

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const ALL: [Workload; 42] = [
    Workload {
        pinned: true,
        ..workload('A', Shape::Closed, 1, 1, 64)
    },
    workload('B', Shape::Closed, 1, 64, 64),
    over(Over::Tls, workload('B', Shape::Closed, 1, 64, 64)).variant("tls"),
    workload('C', Shape::Closed, 1, 512, 64),
    workload('D', Shape::Closed, 1, 4096, 64),
    workload('E', Shape::Closed, 16, 32, 64),
    workload('F', Shape::Closed, 1, 64, KIB),
    workload('G', Shape::Closed, 1, 16, 64 * KIB),
    workload('H', Shape::Closed, 1, 4, MIB),
    workload('I', Shape::Idle, 10_000, 1, 64),
    over(Over::Tls, workload('I', Shape::Idle, 1000, 1, 64 * KIB)).variant("tls"),
    over(Over::Zstd, workload('I', Shape::Idle, 1000, 1, 64 * KIB)).variant("zstd"),
    over(Over::Deflate, workload('I', Shape::Idle, 1000, 1, 64 * KIB)).variant("deflate"),
    workload('J', Shape::Beside, 1, 1, 64),
    workload('K', Shape::OneWay, 1, 64, 64),
    typed(Format::Bincode),
    typed(Format::Json),
    typed(Format::MsgPack),
    typed(Format::Postcard),
    typed(Format::Prost),
    Workload {
        pinned: true,
        ..workload('M', Shape::Stack, 1, 64, 0)
    },
    workload('N', Shape::Open, 1, 512, 64),
    workload('P', Shape::Batch, 1, 1, 64),
    workload('Q', Shape::Json, 8, 10, 0),
    over(Over::Tcp, messages(Content::Json)).variant("json"),
    over(Over::Zstd, messages(Content::Json)).variant("json-zstd"),
    over(Over::Deflate, messages(Content::Json)).variant("json-deflate"),
    over(Over::Tcp, messages(Content::Text)).variant("text"),
    over(Over::Zstd, messages(Content::Text)).variant("text-zstd"),
    over(Over::Deflate, messages(Content::Text)).variant("text-deflate"),
    over(Over::Tcp, messages(Content::Random)).variant("random"),
    over(Over::Zstd, messages(Content::Random)).variant("random-zstd"),
    over(Over::Deflate, messages(Content::Random)).variant("random-deflate"),
    workload('S', Shape::Closed, 2, 50_000, 64).variant("2x50000"),
    workload('S', Shape::Closed, 16, 1024, 64).variant("16x1024"),
    workload('T', Shape::Threads(1), 1, 512, 64).variant("1"),
    workload('T', Shape::Threads(2), 1, 512, 64).variant("2"),
    workload('T', Shape::Threads(4), 1, 512, 64).variant("4"),
    workload('U', Shape::Settings, 1, 1, 64).variant("alone"),
    workload('U', Shape::Settings, 1, 64, 64).variant("64B"),
    workload('U', Shape::Settings, 1, 64, 4 * KIB).variant("4KiB"),
    workload('U', Shape::Settings, 1, 16, 64 * KIB).variant("64KiB"),
];

const fn messages(content: Content) -> Workload {
    workload('R', Shape::Bytes(content), 1, 64, 0)
}

const fn over(over: Over, workload: Workload) -> Workload {
    Workload { over, ..workload }
}

const fn workload(
    letter: char,
    shape: Shape,
    connections: usize,
    callers: usize,
    payload: usize,
) -> Workload {
    Workload {
        letter,
        variant: None,
        shape,
        connections,
        callers,
        payload,
        over: Over::Tcp,
        pinned: false,
    }
}

const fn typed(format: Format) -> Workload {
    workload('L', Shape::Typed(format), 1, 64, 0).variant(format.name())
}

impl Workload {
    const fn variant(self, name: &'static str) -> Self {
        Self {
            variant: Some(name),
            ..self
        }
    }

    /// The name in rows and on the command line: the letter, and behind a dot the variant.
    pub(crate) fn name(&self) -> String {
        match self.variant {
            Some(variant) => format!("{}.{variant}", self.letter),
            None => self.letter.to_string(),
        }
    }

    /// Callers over all connections.
    pub(crate) fn depth(&self) -> usize {
        self.connections * self.callers
    }

    /// One call in this many is timed, so that reading the clock stays below one percent of the fastest peer.
    pub(crate) fn sample_every(&self) -> usize {
        match self.depth() {
            0..=32 => 1,
            33..=128 => 8,
            _ => 16,
        }
    }
}

impl Format {
    /// The codec of steeple that writes it, if there is one.
    pub(crate) fn codec(self) -> Option<AnyCodec> {
        match self {
            Self::Bincode => Some(Bincode.into()),
            Self::Json => Some(Json.into()),
            Self::MsgPack => Some(MsgPack.into()),
            Self::Postcard => Some(Postcard.into()),
            Self::Prost => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Bincode => "bincode",
            Self::Json => "json",
            Self::MsgPack => "msgpack",
            Self::Postcard => "postcard",
            Self::Prost => "prost",
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // A letter may itself be the name of one, and of others with a variant.
        if let Some(named) = ALL.into_iter().find(|workload| name == workload.name()) {
            return Ok(Self(vec![named]));
        }
        let of_letter = |workload: &Workload| name == workload.letter.to_string();
        let chosen: Vec<_> = ALL.into_iter().filter(of_letter).collect();
        if chosen.is_empty() {
            let known = ALL.map(|workload| workload.name()).join(", ");
            return Err(format!("no workload {name:?} among {known}"));
        }
        Ok(Self(chosen))
    }
}

/// What all variants of a letter have in common.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            letter,
            connections,
            callers,
            ..
        } = self;
        match letter {
            'S' => write!(f, "{letter}: many callers, ")?,
            'U' => return write!(f, "{letter}: settings of `bare`"),
            _ => write!(f, "{letter}: {connections} × {callers}, ")?,
        }
        match self.payload {
            0 if self.shape == Shape::Stack => f.write_str("no connection")?,
            0 if matches!(self.shape, Shape::Typed(_)) => f.write_str("a struct each way")?,
            0 if matches!(self.shape, Shape::Bytes(_)) => f.write_str("messages of 210 bytes")?,
            0 => f.write_str("JSON")?,
            bytes if bytes >= MIB => write!(f, "{} MiB", bytes / MIB)?,
            bytes if bytes >= KIB => write!(f, "{} KiB", bytes / KIB)?,
            bytes => write!(f, "{bytes} B")?,
        }
        f.write_str(match self.shape {
            Shape::Closed if self.pinned => ", both processes on one CPU",
            Shape::Closed
            | Shape::Settings
            | Shape::Json
            | Shape::Typed(_)
            | Shape::Bytes(_)
            | Shape::Stack => "",
            Shape::Idle => ", idle",
            Shape::Beside => ", beside 64 MiB",
            Shape::Open => ", open loop",
            Shape::Batch => ", 512 calls at once from one task",
            Shape::OneWay => ", one-way",
            Shape::Threads(_) => ", from threads of their own",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_own_workload() {
        for workload in ALL {
            assert_eq!(workload.name().parse(), Ok(Choice(vec![workload])));
        }
        assert!("".parse::<Choice>().is_err());
        assert!("AB".parse::<Choice>().unwrap_err().contains("AB"));
    }

    #[test]
    fn a_letter_stands_for_all_its_variants() {
        let Choice(chosen) = "L".parse().unwrap();
        let names: Vec<_> = chosen.iter().map(Workload::name).collect();
        assert_eq!(
            names,
            ["L.bincode", "L.json", "L.msgpack", "L.postcard", "L.prost"]
        );
    }
}
