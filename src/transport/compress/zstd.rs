//! zstd that holds nothing while it has nothing to do.

use std::io;

use zstd::stream::raw::{self, CParameter, DParameter, Operation, OutBuffer};

use super::codec::Step;

/// Compresses by zstd, frame behind frame: one ends where the compressor rests, and by that the other side knows that it
/// may rest as well.
#[derive(Default)]
pub(super) struct ZstdEncoder(Option<raw::Encoder<'static>>);

/// Decompresses frames.
#[derive(Default)]
pub(super) struct ZstdDecoder {
    working: Option<raw::Decoder<'static>>,
    /// Whether a frame has ended and no other begun.
    between_frames: bool,
}

/// 16 KiB: what is larger costs memory on both sides for each connection, and finds little more in small messages.
const WINDOW_LOG: u32 = 14;

/// 32 KiB, so that a later version may have the larger window.
const MAX_WINDOW_LOG: u32 = 15;

/// A table of 32 KiB to look up what is in the window, instead of 64 KiB for one that holds much more.
const HASH_LOG: u32 = 13;

/// Room for the end of a frame, which is a few bytes.
const END: usize = 64;

impl ZstdEncoder {
    /// Compresses as much of `input` as there is room for.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        let status = self.working()?.run_on_buffers(input, output)?;
        Ok(Step {
            read: status.bytes_read,
            written: status.bytes_written,
        })
    }

    /// Writes what was taken, as far as there is room. How much is left, as far as is known.
    pub(super) fn flush(&mut self, output: &mut [u8]) -> io::Result<(Step, usize)> {
        let mut room = OutBuffer::around(output);
        let rest = self.working()?.flush(&mut room)?;
        let written = room.pos();
        Ok((Step { read: 0, written }, rest))
    }

    /// Lets go of everything, and gives the end of the frame. To be called only behind a whole flush.
    pub(super) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let Some(mut working) = self.0.take() else {
            return Ok(Vec::new());
        };
        let mut end = vec![0; END];
        let mut room = OutBuffer::around(&mut end[..]);
        if working.finish(&mut room, true)? > 0 {
            return Err(io::Error::other("the end of a frame is too long"));
        }
        let written = room.pos();
        end.truncate(written);
        Ok(end)
    }

    /// Whether there is something to let go of.
    pub(super) fn is_working(&self) -> bool {
        self.0.is_some()
    }

    fn working(&mut self) -> io::Result<&mut raw::Encoder<'static>> {
        Ok(match &mut self.0 {
            Some(working) => working,
            empty => {
                let mut encoder = raw::Encoder::new(1)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
                encoder.set_parameter(CParameter::HashLog(HASH_LOG))?;
                empty.insert(encoder)
            }
        })
    }
}

impl ZstdDecoder {
    /// Decompresses as much of `input` as there is room for.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        let decoder = match &mut self.working {
            Some(working) => working,
            None => {
                let mut decoder = raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
                self.working.insert(decoder)
            }
        };
        let status = decoder.run_on_buffers(input, output)?;
        let step = Step {
            read: status.bytes_read,
            written: status.bytes_written,
        };
        if step.read > 0 || step.written > 0 {
            self.between_frames = status.remaining == 0;
        }
        Ok(step)
    }

    /// Lets go of everything, if the other side has ended its frame.
    pub(super) fn rest(&mut self) {
        if self.between_frames {
            self.working = None;
        }
    }
}
