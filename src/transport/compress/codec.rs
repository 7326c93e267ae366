//! Compressors and decompressors, from slice to slice.

use std::{fmt, io, time::Duration};

#[cfg(feature = "deflate")]
use flate2::{Decompress, FlushCompress, FlushDecompress};

#[cfg(feature = "deflate")]
use super::deflate::Deflate;
#[cfg(feature = "zstd")]
use super::zstd::{ZstdDecoder, ZstdEncoder};
use crate::wire::numbers::offer;

/// How a connection is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// DEFLATE without a header, at its fastest (feature `deflate`).
    #[cfg(feature = "deflate")]
    Deflate,
    /// zstd at level 1 with a window of 16 KiB (feature `zstd`).
    #[cfg(feature = "zstd")]
    Zstd,
}

/// One direction of a connection on its way out.
pub(super) enum Encoder {
    #[cfg(feature = "deflate")]
    Deflate(Deflate),
    #[cfg(feature = "zstd")]
    Zstd(ZstdEncoder),
}

/// One direction of a connection on its way in.
pub(super) enum Decoder {
    #[cfg(feature = "deflate")]
    Deflate(Box<Decompress>),
    #[cfg(feature = "zstd")]
    Zstd(ZstdDecoder),
}

/// How far a step came, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
}

/// To make DEFLATE's tables anew takes some 50 µs and nothing else: little for who calls once in this time.
#[cfg(feature = "deflate")]
const DEFLATE_RESTS_AFTER: Duration = Duration::from_millis(250);

/// zstd forgets what came before, so that calls which are further apart than this cost more bytes.
#[cfg(feature = "zstd")]
const ZSTD_RESTS_AFTER: Duration = Duration::from_secs(2);

/// How much room a step is given that has little to write.
const ROOM: usize = 1024;

impl Algorithm {
    /// All that this build has, the best first.
    pub(super) const ALL: &'static [Self] = &[
        #[cfg(feature = "zstd")]
        Self::Zstd,
        #[cfg(feature = "deflate")]
        Self::Deflate,
    ];

    /// Its number in the preamble, which has one bit.
    pub(super) const fn bit(self) -> u8 {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd => offer::ZSTD,
            #[cfg(feature = "deflate")]
            Self::Deflate => offer::DEFLATE,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.bit() == number)
    }
}

impl Encoder {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            #[cfg(feature = "zstd")]
            Algorithm::Zstd => Self::Zstd(ZstdEncoder::default()),
            #[cfg(feature = "deflate")]
            Algorithm::Deflate => Self::Deflate(Deflate::new()),
        }
    }

    /// Takes all of `input`, and appends what is ready.
    pub(super) fn encode(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        // Each turn takes input or fills a room.
        while !input.is_empty() {
            let step = append(output, input.len(), |room| self.step(input, room))?;
            input = &input[step.read..];
        }
        Ok(())
    }

    /// Appends all that was taken, so that it can be read at the other side.
    pub(super) fn flush(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        // Each turn fills a room but the last.
        loop {
            let before = output.len();
            let rest = self.flush_some(output)?;
            if rest == 0 {
                return Ok(());
            }
            if output.len() == before {
                return Err(io::Error::other("a compressor has more, and gives nothing"));
            }
        }
    }

    /// Lets go of what can be made anew, and gives what the other side has to be told of that. To be called only
    /// behind a flush.
    pub(super) fn rest(&mut self) -> io::Result<Vec<u8>> {
        match self {
            #[cfg(feature = "deflate")]
            Self::Deflate(encoder) => {
                encoder.rest();
                Ok(Vec::new())
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.rest(),
        }
    }

    /// After how long without anything to send to rest, if there is something to let go of.
    pub(super) fn rests_after(&self) -> Option<Duration> {
        match self {
            #[cfg(feature = "deflate")]
            Self::Deflate(encoder) => encoder.is_working().then_some(DEFLATE_RESTS_AFTER),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.is_working().then_some(ZSTD_RESTS_AFTER),
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.step(input, output),
            #[cfg(feature = "deflate")]
            Self::Deflate(encoder) => encoder.step(input, output, FlushCompress::None),
        }
    }

    /// How much is left, as far as is known.
    fn flush_some(&mut self, output: &mut Vec<u8>) -> io::Result<usize> {
        let mut rest = 0;
        append(output, ROOM, |room| match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => {
                let (step, left) = encoder.flush(room)?;
                rest = left;
                Ok(step)
            }
            #[cfg(feature = "deflate")]
            Self::Deflate(encoder) => {
                let step = encoder.step(&[], room, FlushCompress::Sync)?;
                rest = usize::from(step.written == room.len());
                Ok(step)
            }
        })?;
        Ok(rest)
    }
}

impl Decoder {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            #[cfg(feature = "zstd")]
            Algorithm::Zstd => Self::Zstd(ZstdDecoder::default()),
            #[cfg(feature = "deflate")]
            Algorithm::Deflate => Self::Deflate(Box::new(Decompress::new(false))),
        }
    }

    /// How many times its size compressed input may become, so that who sends little cannot make this side work a lot.
    /// Zeros become almost nothing by zstd, and by DEFLATE a thousandth at best.
    pub(super) const fn max_ratio(&self) -> u64 {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => 2048,
            #[cfg(feature = "deflate")]
            Self::Deflate(_) => 512,
        }
    }

    /// Lets go of what can be made anew, if the other side has made that possible.
    pub(super) fn rest(&mut self) {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.rest(),
            // Its window may be asked for by whatever comes.
            #[cfg(feature = "deflate")]
            Self::Deflate(_) => {}
        }
    }

    /// Decompresses as much of `input` as there is room for.
    pub(super) fn decode(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.step(input, output).map_err(broken),
            #[cfg(feature = "deflate")]
            Self::Deflate(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(input, output, FlushDecompress::None);
                status.map_err(broken)?;
                Ok(Step::since(
                    before,
                    (decoder.total_in(), decoder.total_out()),
                ))
            }
        }
    }
}

impl Step {
    /// Between two counts of a stream's bytes.
    #[cfg(feature = "deflate")]
    pub(super) fn since(before: (u64, u64), now: (u64, u64)) -> Self {
        Self {
            read: (now.0 - before.0) as usize,
            written: (now.1 - before.1) as usize,
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

/// Lets a step write behind what is in `output`.
fn append(
    output: &mut Vec<u8>,
    room: usize,
    step: impl FnOnce(&mut [u8]) -> io::Result<Step>,
) -> io::Result<Step> {
    let before = output.len();
    output.resize(before + room.max(ROOM), 0);
    let done = step(&mut output[before..]);
    output.truncate(before + done.as_ref().map_or(0, |step| step.written));
    done
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    let text = format!("the compressed stream is broken: {}", error.into());
    io::Error::new(io::ErrorKind::InvalidData, text)
}
