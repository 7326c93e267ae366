//! How much of the bulk lane is under way at once.
//!
//! What the stream takes is not what the peer has read. Between the two lie the buffers of two kernels and of
//! the path, megabytes of them, and a small message that is written behind a large one waits for all of it. So
//! chunks go no further than a *window* past the last point that the peer is known to have read: behind every
//! [`SPACING`] bytes of chunks a ping marks a point, and its pong tells that the peer is there.
//!
//! ```text
//!   read by the peer          mark        mark        mark
//!  ━━━━━━━━━━━━━━━━━━━┿━━━━━━━━━╋━━━━━━━━━━━╋━━━━━━━━━━━╋━━━━━┿ ─ ─ ─ ─ ─ ┤
//!                    read                                  sent         read + size
//! ```
//!
//! How large the window must be, the round trips of the marks tell. The smallest of late is that of a path
//! without a queue; what a round trip takes longer, the mark has stood behind other chunks. Once in a round the
//! window becomes what would just fill the path, and a quarter of itself more, so that it finds out if the path
//! takes more: it settles where a third of the round trip's time is added by its own chunks, on a short path as
//! on a long one.
//!
//! Pure: bytes, nonces and times go in. A pong that never comes holds the chunks back, and nothing else; that
//! the peer is gone is for keepalive to find.

use std::{collections::VecDeque, time::Duration};

use steeple_layers::moment::Moment;

use crate::wire::numbers::limit::BYTES_PER_PING;

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    /// How many bytes of chunks may be under way.
    size: u64,
    /// How many bytes of chunks were ever put out, and how many of those the peer is known to have read.
    sent: u64,
    read: u64,
    /// How much had been put out when the last mark was.
    marked: u64,
    /// Marks that the peer has not answered, oldest first.
    marks: VecDeque<Mark>,
    /// The nonce of the last of them, without [`OURS`].
    nonce: u32,
    base: Option<Base>,
    round: Round,
}

/// A ping between chunks.
#[derive(Clone, Copy, Debug)]
struct Mark {
    nonce: u32,
    /// How many bytes of chunks stand before it.
    at: u64,
    put: Moment,
}

/// The round trip of a path without a queue.
#[derive(Clone, Copy, Debug)]
struct Base {
    trip: Duration,
    seen: Moment,
}

/// What happened since the window was last changed.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// It is over when this is read.
    until: u64,
    /// The shortest round trip.
    trip: Option<Duration>,
    /// Whether the window held chunks back.
    limited: bool,
    /// What the window was before it was halved to see the path without a queue.
    probed: Option<u64>,
}

/// The least window, and the first: one chunk is read while another is on its way. Two processes on one machine
/// come to their full throughput with it, and read it in a tenth of a millisecond.
const LEAST: u64 = 128 * 1024;

/// The largest window: a path of 100 ms and 1.3 Gbit/s. It bounds the marks, too.
const MOST: u64 = 16 * 1024 * 1024;

/// From mark to mark: no less than entitles to a ping.
const SPACING: u64 = BYTES_PER_PING;

/// How long a base is believed. A path changes, and a base that is too short holds back too much.
const BELIEVED: Duration = Duration::from_secs(10);

/// The bit that tells the nonce of a mark from those of other pings.
const OURS: u32 = 1 << 31;

impl Window {
    pub(super) fn new() -> Self {
        Self {
            size: LEAST,
            sent: 0,
            read: 0,
            marked: 0,
            marks: VecDeque::new(),
            nonce: 0,
            base: None,
            round: Round::default(),
        }
    }

    /// Whether a ping with this nonce is, or was, a mark.
    pub(super) fn is_mark(nonce: u32) -> bool {
        nonce & OURS != 0
    }

    /// Whether another chunk may go out. It may go past the window's end, where that is not reached.
    pub(super) fn is_open(&self) -> bool {
        self.sent - self.read < self.size
    }

    /// Notes a chunk. Behind some there is to be a mark: a ping with this nonce.
    pub(super) fn sent(&mut self, bytes: usize, now: Moment) -> Option<u32> {
        self.sent += bytes as u64;
        if self.sent - self.marked < SPACING {
            return None;
        }
        self.marked = self.sent;
        self.nonce = self.nonce.wrapping_add(1) & !OURS;
        let nonce = self.nonce | OURS;
        self.marks.push_back(Mark {
            nonce,
            at: self.sent,
            put: now,
        });
        Some(nonce)
    }

    /// Notes the pong of a mark. One that answers no mark means nothing.
    pub(super) fn read(&mut self, nonce: u32, now: Moment) {
        let Some(index) = self.marks.iter().position(|mark| mark.nonce == nonce) else {
            return;
        };
        self.round.limited |= !self.is_open();
        // The stream keeps the order: what stands before it is read as well.
        let Some(mark) = self.marks.drain(..=index).next_back() else {
            return;
        };
        self.read = mark.at;
        // A clock may be too coarse to see it.
        let trip = now.since(mark.put).max(Duration::from_micros(1));
        if self.base.is_none_or(|base| trip <= base.trip) {
            self.base = Some(Base { trip, seen: now });
        }
        self.round.trip = Some(self.round.trip.map_or(trip, |least| least.min(trip)));
        if self.read >= self.round.until {
            self.end_round(now);
        }
    }

    /// Sets the window to what the round has told.
    fn end_round(&mut self, now: Moment) {
        let Round {
            trip,
            limited,
            probed,
            ..
        } = self.round;
        // What is put out from here on is of the next round.
        self.round = Round {
            until: self.sent + 1,
            ..Round::default()
        };
        let (Some(trip), Some(base)) = (trip, self.base) else {
            return;
        };
        if let Some(size) = probed {
            self.base = Some(Base { trip, seen: now });
            self.size = size;
            return;
        }
        if now.since(base.seen) > BELIEVED {
            self.base = Some(Base { trip, seen: now });
            if self.size > LEAST {
                self.round.probed = Some(self.size);
                // It is a third more than the path holds: of half of it, nothing queues.
                self.size = LEAST.max(self.size / 2);
            }
            return;
        }
        let fits = (self.size as f64 * base.trip.as_secs_f64() / trip.as_secs_f64()) as u64;
        let size = fits + self.size / 4;
        if limited || size < self.size {
            self.size = size.clamp(LEAST, MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use tokio::time::Instant;

    use super::*;

    const CHUNK: usize = 64 * 1024;
    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A stream that takes so many bytes in a second, and a peer that reads them half a round trip later.
    struct Path {
        rate: f64,
        trip: Duration,
        /// When the last chunk has left.
        free: Instant,
        pongs: VecDeque<(Instant, u32)>,
        now: Instant,
    }

    impl Path {
        fn new(rate: f64, trip: Duration) -> Self {
            let now = Instant::now();
            Self {
                rate,
                trip,
                free: now,
                pongs: VecDeque::new(),
                now,
            }
        }

        /// Sends chunks for this long: how many bytes in a second, and the longest round trip.
        fn run(&mut self, window: &mut Window, time: Duration) -> (f64, Duration) {
            let until = self.now + time;
            let (mut bytes, mut longest) = (0, Duration::ZERO);
            while self.now < until {
                while window.is_open() {
                    bytes += CHUNK;
                    let takes = Duration::from_secs_f64(CHUNK as f64 / self.rate);
                    self.free = self.free.max(self.now) + takes;
                    if let Some(nonce) = window.sent(CHUNK, self.now.into()) {
                        self.pongs.push_back((self.free + self.trip, nonce));
                    }
                }
                let (at, nonce) = self.pongs.pop_front().expect("a mark is under way");
                let put = window.marks.front().map_or(at.into(), |mark| mark.put);
                longest = longest.max(Moment::from(at).since(put));
                self.now = at;
                window.read(nonce, at.into());
            }
            (bytes as f64 / time.as_secs_f64(), longest)
        }
    }

    #[test]
    fn chunks_go_on_when_the_peer_has_read_others() {
        let (mut window, now) = (Window::new(), Instant::now());
        let mut marks = Vec::new();
        while window.is_open() {
            marks.extend(window.sent(CHUNK, now.into()));
        }
        assert_eq!(window.sent, LEAST);
        assert_eq!(marks.len() as u64, LEAST / SPACING);
        assert!(marks.iter().all(|mark| Window::is_mark(*mark)));
        window.read(marks[0], (now + MILLISECOND).into());
        assert!(window.is_open());
    }

    #[test]
    fn the_pong_of_a_later_mark_answers_those_before_it() {
        let (mut window, now) = (Window::new(), Instant::now());
        let marks: Vec<_> = (0..4)
            .filter_map(|_| window.sent(CHUNK, now.into()))
            .collect();
        window.read(marks[2], (now + MILLISECOND).into());
        assert_eq!(window.read, 3 * CHUNK as u64);
        assert_eq!(window.marks.len(), 1);
    }

    #[test]
    fn a_pong_of_nothing_means_nothing() {
        let (mut window, now) = (Window::new(), Instant::now());
        while window.is_open() {
            window.sent(CHUNK, now.into());
        }
        for nonce in [0, 7, OURS, OURS | 77, u32::MAX] {
            window.read(nonce, (now + MILLISECOND).into());
        }
        assert!(!window.is_open());
    }

    #[test]
    fn a_long_path_is_filled_and_its_round_trip_hardly_grows() {
        for (rate, trip) in [(100e6, 100), (1e9, 10), (10e6, 200), (200e6, 2)] {
            let trip = trip * MILLISECOND;
            let (mut window, mut path) = (Window::new(), Path::new(rate, trip));
            path.run(&mut window, 20 * trip + Duration::from_secs(2));
            let (bytes, longest) = path.run(&mut window, Duration::from_secs(2));
            assert!(bytes > 0.95 * rate, "{bytes} of {rate}");
            let added = Duration::from_secs_f64(2.0 * LEAST as f64 / rate);
            assert!(longest < trip * 3 / 2 + added, "{longest:?} for {trip:?}");
        }
    }

    #[test]
    fn a_peer_that_reads_slowly_finds_little_to_read() {
        let (mut window, mut path) = (Window::new(), Path::new(1e9, MILLISECOND / 20));
        path.run(&mut window, Duration::from_secs(60));
        assert!(window.size < 2 * LEAST, "{}", window.size);
        path.rate = 50e6;
        path.run(&mut window, Duration::from_secs(60));
        assert!(window.size < 2 * LEAST, "{}", window.size);
    }

    #[test]
    fn a_path_that_becomes_longer_is_filled_again() {
        let (mut window, mut path) = (Window::new(), Path::new(100e6, 10 * MILLISECOND));
        path.run(&mut window, Duration::from_secs(15));
        path.trip = 80 * MILLISECOND;
        path.run(&mut window, 2 * BELIEVED);
        let (bytes, _) = path.run(&mut window, Duration::from_secs(2));
        assert!(bytes > 0.9 * path.rate, "{bytes}");
    }

    #[test]
    fn a_path_without_change_is_looked_at_anew_without_a_pause() {
        let (mut window, mut path) = (Window::new(), Path::new(100e6, 50 * MILLISECOND));
        path.run(&mut window, Duration::from_secs(5));
        let (bytes, longest) = path.run(&mut window, Duration::from_secs(60));
        assert!(bytes > 0.95 * path.rate, "{bytes}");
        assert!(longest < path.trip * 5 / 2, "{longest:?}");
    }

    proptest! {
        #[test]
        fn a_full_window_waits_for_a_mark_and_all_stays_bounded(
            steps in prop::collection::vec((1usize..=CHUNK, 0usize..4, 0u64..300_000), 1..2000),
        ) {
            let (mut window, mut now) = (Window::new(), Instant::now());
            let mut marks = VecDeque::new();
            for (bytes, pongs, micros) in steps {
                now += Duration::from_micros(micros);
                if window.is_open() {
                    marks.extend(window.sent(bytes, now.into()));
                }
                prop_assert!(window.is_open() || !marks.is_empty(), "nothing would open it");
                for nonce in marks.drain(..pongs.min(marks.len())) {
                    window.read(nonce, now.into());
                }
                prop_assert!((LEAST..=MOST).contains(&window.size));
                prop_assert!(window.marks.len() as u64 <= MOST / SPACING + 1);
                prop_assert!(window.read <= window.marked && window.marked <= window.sent);
            }
        }
    }
}
