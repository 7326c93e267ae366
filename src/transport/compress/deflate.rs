//! A DEFLATE compressor that holds little while it has nothing to do.

use std::io;

use flate2::{Compress, FlushCompress};

use super::codec::Step;

/// Compresses by DEFLATE without a header, at its fastest.
///
/// While it works it holds some 250 KiB, most of them tables to find what came before. They can be made anew from
/// what came before, so [`rest`](Self::rest) lets them go, and nobody sees that in what comes out.
pub(super) struct Deflate {
    working: Option<Box<Compress>>,
    /// What was compressed last: at least a window of it, if there was as much.
    history: Vec<u8>,
}

/// 8 KiB, for DEFLATE holds several times its window.
const WINDOW_BITS: u8 = 13;

const WINDOW: usize = 1 << WINDOW_BITS;

impl Deflate {
    pub(super) fn new() -> Self {
        Self {
            working: None,
            history: Vec::new(),
        }
    }

    /// Compresses as much of `input` as there is room for.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: FlushCompress,
    ) -> io::Result<Step> {
        let compress = match &mut self.working {
            Some(working) => working,
            None => self.working.insert(begin(&self.history)?),
        };
        let before = (compress.total_in(), compress.total_out());
        let status = compress.compress(input, output, flush);
        status.map_err(io::Error::other)?;
        let step = Step::since(before, (compress.total_in(), compress.total_out()));
        self.remember(&input[..step.read]);
        Ok(step)
    }

    /// Lets go of what can be made anew. To be called only behind a whole flush, where a block has ended.
    pub(super) fn rest(&mut self) {
        self.working = None;
        let surplus = self.history.len().saturating_sub(WINDOW);
        self.history.drain(..surplus);
        self.history.shrink_to_fit();
    }

    /// Whether there is something to let go of.
    pub(super) fn is_working(&self) -> bool {
        self.working.is_some()
    }

    fn remember(&mut self, input: &[u8]) {
        let last = &input[input.len().saturating_sub(WINDOW)..];
        // Two windows, so that not every few bytes move a whole one.
        if self.history.len() + last.len() > 2 * WINDOW {
            let kept = WINDOW - last.len();
            self.history.drain(..self.history.len() - kept);
        }
        self.history.extend_from_slice(last);
    }
}

/// A compressor that finds what is in `history` as if it had compressed that.
fn begin(history: &[u8]) -> io::Result<Box<Compress>> {
    let level = flate2::Compression::fast();
    let mut compress = Compress::new_with_window_bits(level, false, WINDOW_BITS);
    if !history.is_empty() {
        let window = &history[history.len().saturating_sub(WINDOW)..];
        compress.set_dictionary(window).map_err(io::Error::other)?;
    }
    Ok(Box::new(compress))
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Compresses a message and flushes.
    fn send(deflate: &mut Deflate, message: &[u8]) -> Vec<u8> {
        let mut output = vec![0; 2 * message.len() + 1024];
        let step = deflate
            .step(message, &mut output, FlushCompress::None)
            .unwrap();
        assert_eq!(step.read, message.len());
        let end = deflate
            .step(&[], &mut output[step.written..], FlushCompress::Sync)
            .unwrap();
        output.truncate(step.written + end.written);
        output
    }

    fn receive(decompress: &mut Decompress, bytes: &[u8], len: usize) -> Vec<u8> {
        let mut output = vec![0; len + 1];
        let before = (decompress.total_in(), decompress.total_out());
        decompress
            .decompress(bytes, &mut output, FlushDecompress::None)
            .unwrap();
        let step = Step::since(before, (decompress.total_in(), decompress.total_out()));
        assert_eq!(step.read, bytes.len());
        output.truncate(step.written);
        output
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let known = prop_oneof![Just("name"), Just("status"), Just("true")];
        let words = prop_oneof![
            known.prop_map(|word| word.as_bytes().to_vec()),
            vec(b'a'..=b'z', 1..12),
        ];
        vec(words, 0..600).prop_map(|words| words.join(&b' '))
    }

    proptest! {
        #[test]
        fn what_is_sent_arrives_wherever_the_compressor_has_rested(
            messages in vec((text(), any::<bool>()), 0..6),
        ) {
            let (mut deflate, mut decompress) = (Deflate::new(), Decompress::new(false));
            for (message, rests) in messages {
                let sent = send(&mut deflate, &message);
                prop_assert_eq!(receive(&mut decompress, &sent, message.len()), message);
                if rests {
                    deflate.rest();
                }
            }
        }
    }

    #[test]
    fn one_that_has_rested_still_knows_what_came_before() {
        let mut rng = fastrand::Rng::with_seed(7);
        let message: Vec<u8> = (0..WINDOW / 2).map(|_| rng.u8(..)).collect();
        let mut deflate = Deflate::new();
        let first = send(&mut deflate, &message);
        deflate.rest();
        assert!(!deflate.is_working());
        let second = send(&mut deflate, &message);
        assert!(
            second.len() < first.len() / 10,
            "{} {}",
            first.len(),
            second.len()
        );
    }

    #[test]
    fn one_that_rests_holds_a_window() {
        let mut deflate = Deflate::new();
        for _ in 0..100 {
            send(&mut deflate, &[7; 1000]);
            assert!(deflate.history.len() <= 2 * WINDOW);
        }
        deflate.rest();
        assert_eq!(deflate.history.len(), WINDOW);
        assert!(deflate.history.capacity() < 2 * WINDOW);
    }
}
