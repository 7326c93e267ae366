//! Compressors and decompressors, from slice to slice.

use std::{fmt, io};

#[cfg(feature = "deflate")]
use flate2::{Decompress, FlushCompress, FlushDecompress};
#[cfg(feature = "zstd")]
use zstd::stream::raw::{self, CParameter, DParameter, Operation, OutBuffer};

#[cfg(feature = "deflate")]
use super::deflate::Deflate;

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
    Zstd(raw::Encoder<'static>),
}

/// One direction of a connection on its way in.
pub(super) enum Decoder {
    #[cfg(feature = "deflate")]
    Deflate(Box<Decompress>),
    #[cfg(feature = "zstd")]
    Zstd(raw::Decoder<'static>),
}

/// How far a step came, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
}

/// 16 KiB: what is larger costs memory on both sides for each connection, and finds little more in small messages.
#[cfg(feature = "zstd")]
const WINDOW_LOG: u32 = 14;

/// 32 KiB, so that a later version may have the larger window.
#[cfg(feature = "zstd")]
const MAX_WINDOW_LOG: u32 = 15;

/// A table of 32 KiB to look up what is in the window, instead of 64 KiB for one that holds much more.
#[cfg(feature = "zstd")]
const HASH_LOG: u32 = 13;

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
            Self::Zstd => 1,
            #[cfg(feature = "deflate")]
            Self::Deflate => 2,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.bit() == number)
    }
}

impl Encoder {
    pub(super) fn new(algorithm: Algorithm) -> io::Result<Self> {
        Ok(match algorithm {
            #[cfg(feature = "zstd")]
            Algorithm::Zstd => {
                let mut encoder = raw::Encoder::new(1)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
                encoder.set_parameter(CParameter::HashLog(HASH_LOG))?;
                Self::Zstd(encoder)
            }
            #[cfg(feature = "deflate")]
            Algorithm::Deflate => Self::Deflate(Deflate::new()),
        })
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

    /// Lets go of what can be made anew. To be called only behind a flush.
    pub(super) fn rest(&mut self) {
        match self {
            #[cfg(feature = "deflate")]
            Self::Deflate(encoder) => encoder.rest(),
            // It holds less, and nobody could make it anew in the middle of a frame.
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => {}
        }
    }

    /// Whether there is something to let go of.
    pub(super) fn can_rest(&self) -> bool {
        match self {
            #[cfg(feature = "deflate")]
            Self::Deflate(encoder) => encoder.is_working(),
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => false,
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => {
                let status = encoder.run_on_buffers(input, output)?;
                Ok(Step {
                    read: status.bytes_read,
                    written: status.bytes_written,
                })
            }
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
                let mut room = OutBuffer::around(room);
                rest = encoder.flush(&mut room)?;
                let written = room.pos();
                Ok(Step { read: 0, written })
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
    pub(super) fn new(algorithm: Algorithm) -> io::Result<Self> {
        Ok(match algorithm {
            #[cfg(feature = "zstd")]
            Algorithm::Zstd => {
                let mut decoder = raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
                Self::Zstd(decoder)
            }
            #[cfg(feature = "deflate")]
            Algorithm::Deflate => Self::Deflate(Box::new(Decompress::new(false))),
        })
    }

    /// Decompresses as much of `input` as there is room for.
    pub(super) fn decode(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output).map_err(broken)?;
                Ok(Step {
                    read: status.bytes_read,
                    written: status.bytes_written,
                })
            }
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
