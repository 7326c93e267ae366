//! One direction of a stream: bytes on their way, and when each of them arrives.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
    task::Waker,
};

use fastrand::Rng;
use tokio::{io::ReadBuf, time::Instant};

use super::path::{Conditions, Path};

/// Knows no clock and wakes nobody: time is an argument, and wakers are taken out by the
/// [`Connection`](super::connection::Connection).
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    path: Arc<Path>,
    rng: Rng,
    bytes: VecDeque<u8>,
    /// In order; their lengths are those of `bytes`.
    arrivals: VecDeque<Arrival>,
    /// When the last byte arrives: none overtakes it.
    last: Instant,
    /// When a line of limited bandwidth has carried all that was written.
    line_free: Instant,
    /// The writer has shut its direction down.
    is_shut: bool,
    /// Bytes were swallowed, so nothing written after them may arrive.
    is_deaf: bool,
    end: Option<End>,
    /// When the reader learns that the writer's side is gone, so that its own writes reach nobody.
    gone: Option<Instant>,
}

/// What an operation came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<T> {
    Done(T),
    /// Nothing yet: try again when woken, or at this instant.
    Wait(Option<Instant>),
}

/// What a write did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: usize,
    /// The last of them was the last that this stream was to carry.
    pub(super) is_fatal: bool,
}

#[derive(Debug)]
struct Arrival {
    at: Instant,
    len: usize,
}

/// What is read after the last byte.
#[derive(Debug)]
struct End {
    at: Instant,
    is_reset: bool,
}

/// The most that a torn stream moves at once: less than a frame's header, so that headers are torn too.
const TORN: usize = 11;

impl Pipe {
    pub(super) fn new(path: Arc<Path>, rng: Rng, now: Instant) -> Self {
        Self {
            reader: None,
            writer: None,
            path,
            rng,
            bytes: VecDeque::new(),
            arrivals: VecDeque::new(),
            last: now,
            line_free: now,
            is_shut: false,
            is_deaf: false,
            end: None,
            gone: None,
        }
    }

    /// Reads what has arrived.
    pub(super) fn read(&mut self, now: Instant, buf: &mut ReadBuf<'_>) -> Step<io::Result<()>> {
        let (held, torn) = {
            let conditions = self.path.conditions();
            (conditions.held, conditions.torn)
        };
        if held {
            return Step::Wait(None);
        }
        match (self.arrivals.front(), &self.end) {
            (Some(first), _) if first.at > now => Step::Wait(Some(first.at)),
            (Some(_), _) => {
                let most = self.arrived(now).min(buf.remaining());
                let len = if torn {
                    piece(most, &mut self.rng)
                } else {
                    most
                };
                self.take(len, buf);
                Step::Done(Ok(()))
            }
            (None, Some(end)) if end.at > now => Step::Wait(Some(end.at)),
            (None, Some(end)) if end.is_reset => Step::Done(Err(reset())),
            (None, Some(_)) => Step::Done(Ok(())),
            (None, None) => Step::Wait(None),
        }
    }

    /// Takes as many bytes as there is room for, in the order of the slices; there is at least one.
    pub(super) fn write(&mut self, now: Instant, slices: &[IoSlice<'_>]) -> Step<Written> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let path = Arc::clone(&self.path);
        let mut conditions = path.conditions();
        if self.is_deaf || conditions.swallowed {
            self.is_deaf = true;
            return Step::Done(Written {
                bytes: offered,
                is_fatal: false,
            });
        }
        let room = conditions.capacity.saturating_sub(self.bytes.len());
        let mut len = room.min(offered);
        if conditions.torn {
            len = piece(len, &mut self.rng);
        }
        let is_fatal = conditions.cut_at_kill(&mut len);
        if len > 0 {
            self.put(len, slices);
            if let Some(index) = conditions.take_corrupt(len) {
                let first = self.bytes.len() - len;
                self.bytes[first + index] ^= 1 << self.rng.u8(0..8);
            }
            self.schedule(now, len, &conditions);
        } else if !is_fatal {
            return Step::Wait(None);
        }
        Step::Done(Written {
            bytes: len,
            is_fatal,
        })
    }

    /// Ends the direction after what is on its way.
    pub(super) fn shut(&mut self, now: Instant) {
        if self.is_shut {
            return;
        }
        self.is_shut = true;
        if !self.is_deaf && !self.path.conditions().swallowed {
            let at = self.next_arrival(now);
            self.end = Some(End {
                at,
                is_reset: false,
            });
        }
    }

    /// Whether the writer has shut it down.
    pub(super) fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// The writer's side is gone. If it left bytes `unread` that came the other way, the reader is told by
    /// a reset, which destroys what is on its way; else by the end of the stream.
    pub(super) fn close(&mut self, now: Instant, unread: bool) {
        self.shut(now);
        if self.is_deaf || self.path.conditions().swallowed {
            return;
        }
        if unread {
            self.drop_what_is_on_its_way(now);
            let at = now + self.path.conditions().delay(&mut self.rng);
            self.end = Some(End { at, is_reset: true });
            self.gone = Some(at);
        } else {
            self.gone = Some(self.next_arrival(now));
        }
    }

    /// The reader is gone: what it has not read, nobody will. Says whether there was any.
    pub(super) fn abandon(&mut self) -> bool {
        let unread = !self.bytes.is_empty();
        self.bytes = VecDeque::new();
        self.arrivals = VecDeque::new();
        unread
    }

    /// Resets the direction after what is on its way.
    pub(super) fn kill(&mut self) {
        let at = self.last;
        self.end = Some(End { at, is_reset: true });
    }

    /// How a write the other way fails, once the reader here has learnt that the writer is gone.
    pub(super) fn writer_gone(&self, now: Instant) -> Step<io::Error> {
        let is_reset = self.end.as_ref().is_some_and(|end| end.is_reset);
        match self.gone {
            None => Step::Wait(None),
            Some(_) if self.path.conditions().held => Step::Wait(None),
            Some(at) if at > now => Step::Wait(Some(at)),
            Some(_) if is_reset => Step::Done(reset()),
            Some(_) => Step::Done(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// How many bytes have arrived.
    fn arrived(&self, now: Instant) -> usize {
        let arrived = self.arrivals.iter().take_while(|arrival| arrival.at <= now);
        arrived.map(|arrival| arrival.len).sum()
    }

    fn take(&mut self, len: usize, buf: &mut ReadBuf<'_>) {
        let (front, back) = self.bytes.as_slices();
        let first = len.min(front.len());
        buf.put_slice(&front[..first]);
        buf.put_slice(&back[..len - first]);
        self.bytes.drain(..len);
        let mut left = len;
        while let Some(arrival) = self.arrivals.front_mut() {
            if arrival.len > left {
                arrival.len -= left;
                return;
            }
            left -= arrival.len;
            self.arrivals.pop_front();
        }
    }

    fn put(&mut self, len: usize, slices: &[IoSlice<'_>]) {
        let mut left = len;
        for slice in slices {
            let part = left.min(slice.len());
            self.bytes.extend(&slice[..part]);
            left -= part;
        }
    }

    /// Says when the last `len` bytes arrive.
    fn schedule(&mut self, now: Instant, len: usize, conditions: &Conditions) {
        let delay = conditions.delay(&mut self.rng);
        let Some(bandwidth) = conditions.bandwidth else {
            self.arrive(now + delay, len);
            return;
        };
        self.line_free = self.line_free.max(now);
        let mut left = len;
        while left > 0 {
            let part = left.min(bandwidth.bytes);
            self.line_free += bandwidth.time(part);
            self.arrive(self.line_free + delay, part);
            left -= part;
        }
    }

    fn arrive(&mut self, at: Instant, len: usize) {
        self.last = self.last.max(at);
        match self.arrivals.back_mut() {
            Some(arrival) if arrival.at == self.last => arrival.len += len,
            _ => self.arrivals.push_back(Arrival { at: self.last, len }),
        }
    }

    /// When a word about the end of the stream arrives that is sent now.
    fn next_arrival(&mut self, now: Instant) -> Instant {
        let delay = self.path.conditions().delay(&mut self.rng);
        self.last = self.last.max(now + delay);
        self.last
    }

    fn drop_what_is_on_its_way(&mut self, now: Instant) {
        self.bytes.truncate(self.arrived(now));
        self.arrivals.retain(|arrival| arrival.at <= now);
    }
}

/// From 1 to what a torn stream moves, or to all there is.
fn piece(most: usize, rng: &mut Rng) -> usize {
    rng.usize(1..=most.clamp(1, TORN)).min(most)
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::path::Bandwidth, *};

    fn pipe(conditions: Conditions) -> (Pipe, Instant) {
        let now = Instant::now();
        let path = Arc::new(Path::new(conditions));
        (Pipe::new(path, Rng::with_seed(1), now), now)
    }

    fn write(pipe: &mut Pipe, now: Instant, bytes: &[u8]) -> Step<Written> {
        pipe.write(now, &[IoSlice::new(bytes)])
    }

    fn read(pipe: &mut Pipe, now: Instant) -> Step<Vec<u8>> {
        let mut bytes = [0; 64];
        let mut buf = ReadBuf::new(&mut bytes);
        match pipe.read(now, &mut buf) {
            Step::Done(result) => {
                result.unwrap();
                Step::Done(buf.filled().to_vec())
            }
            Step::Wait(until) => Step::Wait(until),
        }
    }

    fn written(bytes: usize, is_fatal: bool) -> Step<Written> {
        Step::Done(Written { bytes, is_fatal })
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn bytes_arrive_after_their_latency_and_not_before() {
        let (mut pipe, now) = pipe(Conditions {
            latency: 5 * MS,
            ..Conditions::default()
        });
        assert_eq!(write(&mut pipe, now, b"ab"), written(2, false));
        assert_eq!(write(&mut pipe, now + MS, b"cd"), written(2, false));
        assert_eq!(
            read(&mut pipe, now + 4 * MS),
            Step::Wait(Some(now + 5 * MS))
        );
        assert_eq!(read(&mut pipe, now + 5 * MS), Step::Done(b"ab".to_vec()));
        assert_eq!(
            read(&mut pipe, now + 5 * MS),
            Step::Wait(Some(now + 6 * MS))
        );
        assert_eq!(read(&mut pipe, now + 6 * MS), Step::Done(b"cd".to_vec()));
        assert_eq!(read(&mut pipe, now + 6 * MS), Step::Wait(None));
    }

    #[test]
    fn a_piece_of_less_latency_does_not_overtake() {
        let (mut pipe, now) = pipe(Conditions {
            latency: 9 * MS,
            ..Conditions::default()
        });
        write(&mut pipe, now, b"a");
        pipe.path.conditions().latency = Duration::ZERO;
        write(&mut pipe, now, b"b");
        pipe.shut(now);
        assert_eq!(read(&mut pipe, now), Step::Wait(Some(now + 9 * MS)));
        assert_eq!(read(&mut pipe, now + 9 * MS), Step::Done(b"ab".to_vec()));
        assert_eq!(read(&mut pipe, now + 9 * MS), Step::Done(vec![]));
    }

    #[test]
    fn a_reset_destroys_all_that_has_not_arrived_and_nothing_else() {
        let (mut pipe, now) = pipe(Conditions::default());
        write(&mut pipe, now, b"a");
        pipe.path.conditions().latency = 9 * MS;
        write(&mut pipe, now, b"b");
        pipe.path.conditions().latency = Duration::ZERO;
        write(&mut pipe, now, b"c");
        pipe.close(now + MS, true);
        assert_eq!(read(&mut pipe, now + MS), Step::Done(b"a".to_vec()));
        let Step::Done(result) = pipe.read(now + MS, &mut ReadBuf::new(&mut [0])) else {
            panic!("the reset did not arrive")
        };
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn the_word_that_a_side_is_gone_does_not_overtake_its_bytes() {
        let (mut pipe, now) = pipe(Conditions {
            latency: 9 * MS,
            ..Conditions::default()
        });
        write(&mut pipe, now, b"a");
        pipe.path.conditions().latency = Duration::ZERO;
        pipe.close(now, false);
        let Step::Wait(news) = pipe.writer_gone(now) else {
            panic!("it overtook")
        };
        assert_eq!(news, Some(now + 9 * MS));
    }

    #[test]
    fn a_narrow_line_carries_so_many_bytes_in_each_tick() {
        let (mut pipe, now) = pipe(Conditions {
            bandwidth: Some(Bandwidth { bytes: 2, per: MS }),
            ..Conditions::default()
        });
        write(&mut pipe, now, b"abcd");
        write(&mut pipe, now, b"e");
        assert_eq!(read(&mut pipe, now), Step::Wait(Some(now + MS)));
        assert_eq!(read(&mut pipe, now + MS), Step::Done(b"ab".to_vec()));
        assert_eq!(read(&mut pipe, now + 2 * MS), Step::Done(b"cd".to_vec()));
        assert_eq!(read(&mut pipe, now + 3 * MS), Step::Done(b"e".to_vec()));
    }

    #[test]
    fn a_full_pipe_takes_no_more_until_it_is_read() {
        let (mut pipe, now) = pipe(Conditions {
            capacity: 3,
            ..Conditions::default()
        });
        assert_eq!(write(&mut pipe, now, b"abcd"), written(3, false));
        assert_eq!(write(&mut pipe, now, b"d"), Step::Wait(None));
        assert_eq!(read(&mut pipe, now), Step::Done(b"abc".to_vec()));
        assert_eq!(write(&mut pipe, now, b"d"), written(1, false));
    }

    #[test]
    fn the_byte_to_die_at_is_counted_over_writes_and_slices() {
        let (mut pipe, now) = pipe(Conditions {
            kill_after: Some(5),
            ..Conditions::default()
        });
        assert_eq!(write(&mut pipe, now, b"abc"), written(3, false));
        let slices = [IoSlice::new(b"d"), IoSlice::new(b""), IoSlice::new(b"efg")];
        assert_eq!(pipe.write(now, &slices), written(2, true));
        assert_eq!(read(&mut pipe, now), Step::Done(b"abcde".to_vec()));
        assert_eq!(pipe.path.conditions().kill_after, None);
    }

    #[test]
    fn one_bit_of_the_byte_to_be_corrupted_is_flipped() {
        let (mut pipe, now) = pipe(Conditions {
            corrupt_after: Some(3),
            ..Conditions::default()
        });
        write(&mut pipe, now, &[0; 2]);
        write(&mut pipe, now, &[0; 4]);
        let Step::Done(bytes) = read(&mut pipe, now) else {
            panic!("nothing arrived")
        };
        let ones: Vec<u32> = bytes.iter().map(|byte| byte.count_ones()).collect();
        assert_eq!(ones, [0, 0, 0, 1, 0, 0]);
    }
}
