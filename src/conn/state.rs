//! What a connection owes its peer apart from calls: opening, liveness, draining and the end.
//!
//! ```text
//!             hello                 go away            acknowledged, nothing left
//!   Opening ─────────▶ Open ─────────────────▶ Draining ─────────────────────────▶ end
//!      │                │  silence, stall,        │  grace over
//!      └────────────────┴──────── violation ──────┴──────────────────────────────▶ end, with a cause
//! ```
//!
//! Pure: frames and ticks go in, what is to be done comes out. It knows neither a socket nor a clock.

use std::time::Duration;

use super::{cause::Cause, clock::Tick, options::Options};
use crate::wire::{
    Reason, Violation,
    numbers::limit::{BYTES_PER_PING, LEAST_PROGRESS, MAX_PINGS_PER_SECOND},
};

/// The state of one connection.
#[derive(Debug)]
pub(super) struct State {
    timeouts: Timeouts,
    began: Tick,
    opened: bool,
    last_read: Tick,
    last_answer: Tick,
    /// When to look whether calls go unanswered.
    check_unanswered: Tick,
    /// Since when a frame is incomplete.
    partial_since: Option<Tick>,
    /// Since when the stream has taken nothing of what it was given.
    stalled_since: Option<Tick>,
    /// Since when an answer to this side's ping is due.
    asked: Option<Asked>,
    /// Since when, and from which byte on, the peer's unfinished messages are given time to grow.
    unfinished: Option<(Tick, u64)>,
    /// The answers to the peer's pings that are not written.
    pongs: Option<Pongs>,
    pings: Pings,
    ours: Option<Drain>,
    theirs: Option<Drain>,
}

/// What is to be done about something that happened.
#[derive(Debug)]
pub(super) enum Action {
    /// Ask the peer whether it is there.
    Ping,
    /// End the connection for a cause and tell the peer a reason.
    End(Cause, Reason),
}

/// What may have to be done at some time.
#[derive(Clone, Copy, Debug)]
enum Timer {
    Handshake,
    Frame,
    Message,
    ReadIdle,
    WriteStall,
    Keepalive,
    Asked,
    Unanswered,
    Grace,
}

#[derive(Debug)]
struct Timeouts {
    handshake: Duration,
    frame: Duration,
    read_idle: Option<Duration>,
    write_stall: Option<Duration>,
    keepalive: Option<Duration>,
    keepalive_timeout: Duration,
    unanswered: Option<Duration>,
    grace: Duration,
}

/// How far a ping of this side is.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// In the output, perhaps behind much else.
    Queued,
    /// In what is being written.
    Taken,
    /// The peer is due to answer: since it was written, or since the peer was last heard.
    Since(Tick),
}

/// Answers to pings of the peer, on their way. Before it has them, it may send no more of its long messages.
#[derive(Clone, Copy, Debug)]
struct Pongs {
    /// Since when there is one.
    since: Tick,
    /// Whether all of them are in what is being written.
    taken: bool,
}

/// A side that stops.
#[derive(Clone, Copy, Debug)]
struct Drain {
    since: Tick,
    /// Whether the other has said that it knows.
    acknowledged: bool,
}

/// The peer's pings of the last second.
#[derive(Debug)]
struct Pings {
    since: Tick,
    count: u64,
    /// The bytes that came with them.
    bytes: u64,
}

impl State {
    pub(super) fn new(options: &Options, now: Tick) -> Self {
        let timeouts = Timeouts {
            handshake: options.handshake_timeout,
            frame: options.frame_timeout,
            read_idle: options.read_idle,
            write_stall: options.write_stall,
            keepalive: options.keepalive,
            keepalive_timeout: options.keepalive_timeout,
            unanswered: options.unanswered_limit,
            grace: options.drain_grace,
        };
        let check_unanswered = options
            .unanswered_limit
            .map_or(Tick::NEVER, |limit| now.after(limit));
        Self {
            timeouts,
            began: now,
            opened: false,
            last_read: now,
            last_answer: now,
            check_unanswered,
            partial_since: None,
            stalled_since: None,
            asked: None,
            unfinished: None,
            pongs: None,
            pings: Pings::since(now),
            ours: None,
            theirs: None,
        }
    }

    /// Whether the peer has opened its direction.
    pub(super) fn is_opened(&self) -> bool {
        self.opened
    }

    /// Whether this side has said that it stops.
    pub(super) fn has_said_goodbye(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether the peer has said that it stops.
    pub(super) fn is_left(&self) -> bool {
        self.theirs.is_some()
    }

    /// Whether the peer is owed the acknowledgement that this side begins no further call.
    pub(super) fn owes_acknowledgement(&self) -> bool {
        self.theirs.is_some_and(|drain| !drain.acknowledged)
    }

    /// Whether no further call comes from the peer.
    pub(super) fn is_drained(&self) -> bool {
        self.ours.is_some_and(|drain| drain.acknowledged)
    }

    /// When the grace of this side's drain is over.
    pub(super) fn grace_ends(&self) -> Tick {
        let since = self.ours.map(|drain| drain.since);
        since.map_or(Tick::NEVER, |since| since.after(self.timeouts.grace))
    }

    /// The peer has opened its direction.
    pub(super) fn opened(&mut self) {
        self.opened = true;
    }

    /// Bytes came in: whether a frame has ended with them, and whether the last of them did not begin another.
    ///
    /// `unfinished` is how many bytes of unfinished messages have ever come, if there are any.
    pub(super) fn read(
        &mut self,
        now: Tick,
        frame_ended: bool,
        between_frames: bool,
        unfinished: Option<u64>,
    ) {
        self.last_read = now;
        if let Some(Asked::Since(since)) = &mut self.asked {
            // Its answer stands behind what comes.
            *since = now;
        }
        self.unfinished = unfinished.map(|bytes| match self.unfinished {
            Some((since, from)) if bytes - from < LEAST_PROGRESS => (since, from),
            _ => (now, bytes),
        });
        if between_frames {
            self.partial_since = None;
        } else if frame_ended || self.partial_since.is_none() {
            self.partial_since = Some(now);
        }
    }

    /// So many bytes came in: who sends much may ping more often.
    pub(super) fn came(&mut self, bytes: usize) {
        self.pings.bytes += bytes as u64;
    }

    /// An answer came in.
    pub(super) fn answered(&mut self, now: Tick) {
        self.last_answer = now;
    }

    /// The stream took some of the output.
    pub(super) fn wrote(&mut self) {
        self.stalled_since = None;
    }

    /// The output was taken away to be written.
    pub(super) fn swapped(&mut self) {
        if let Some(asked @ Asked::Queued) = &mut self.asked {
            *asked = Asked::Taken;
        }
        if let Some(pongs) = &mut self.pongs {
            pongs.taken = true;
        }
    }

    /// All that was taken away is written.
    pub(super) fn emptied(&mut self, now: Tick) {
        if let Some(asked @ Asked::Taken) = &mut self.asked {
            *asked = Asked::Since(now);
        }
        if let Some(pongs) = self.pongs.take_if(|pongs| pongs.taken)
            && let Some((since, _)) = &mut self.unfinished
        {
            // What the peer spent waiting for them does not count, and nothing else is given to it.
            *since = since.later(pongs.since.max(*since), now);
        }
    }

    /// The stream would take nothing.
    pub(super) fn stalled(&mut self, now: Tick) {
        self.stalled_since.get_or_insert(now);
    }

    /// The peer asks whether this side is there.
    pub(super) fn ping(&mut self, now: Tick) -> Result<(), Violation> {
        if now >= self.pings.since.after(Duration::from_secs(1)) {
            self.pings = Pings::since(now);
        }
        self.pings.count += 1;
        let marks = self.pings.bytes / BYTES_PER_PING;
        if self.pings.count > u64::from(MAX_PINGS_PER_SECOND) + marks {
            let text = format!(
                "more than {MAX_PINGS_PER_SECOND} pings in a second, and one with every \
                 {BYTES_PER_PING} bytes"
            );
            return Err(Violation::new(text).with_reason(Reason::Limit));
        }
        let since = self.pongs.map_or(now, |pongs| pongs.since);
        self.pongs = Some(Pongs {
            since,
            taken: false,
        });
        Ok(())
    }

    /// The peer is there.
    pub(super) fn pong(&mut self) {
        self.asked = None;
    }

    /// This side says that it stops.
    pub(super) fn say_goodbye(&mut self, now: Tick) {
        self.ours = Some(Drain {
            since: now,
            acknowledged: false,
        });
    }

    /// This side has acknowledged that the peer stops.
    pub(super) fn acknowledged(&mut self) {
        if let Some(theirs) = &mut self.theirs {
            theirs.acknowledged = true;
        }
    }

    /// The peer stops. An error is the end.
    pub(super) fn go_away(&mut self, now: Tick, reason: Reason, text: &str) -> Result<(), Cause> {
        match reason {
            Reason::Ack => {
                if let Some(ours) = &mut self.ours {
                    ours.acknowledged = true;
                }
                Ok(())
            }
            Reason::Shutdown if self.opened => {
                self.theirs.get_or_insert(Drain {
                    since: now,
                    acknowledged: false,
                });
                Ok(())
            }
            _ => {
                let cause = Cause::lost(match text {
                    "" => format!("the peer ended the connection ({reason:?})"),
                    text => format!("the peer ended the connection ({reason:?}): {text}"),
                });
                // What it refused before it opened, it has not looked at.
                Err(if self.opened { cause } else { cause.refused() })
            }
        }
    }

    /// When [`act`](Self::act) has something to do.
    pub(super) fn next(&self) -> Tick {
        let due = self.timers().into_iter().map(|(due, _)| due);
        due.min().unwrap_or(Tick::NEVER)
    }

    /// What is to be done at `now`. To be asked until it answers nothing.
    pub(super) fn act(
        &mut self,
        now: Tick,
        oldest_call: impl FnOnce() -> Option<Tick>,
    ) -> Option<Action> {
        let (_, timer) = self.timers().into_iter().find(|(due, _)| *due <= now)?;
        let (what, reason) = match timer {
            Timer::Keepalive => {
                self.asked = Some(Asked::Queued);
                return Some(Action::Ping);
            }
            Timer::Unanswered => {
                let limit = self.timeouts.unanswered.unwrap_or(Duration::MAX);
                let since = oldest_call().map_or(now, |oldest| oldest.max(self.last_answer));
                self.check_unanswered = since.after(limit);
                if self.check_unanswered > now {
                    return None;
                }
                ("answered no call within unanswered_limit", Reason::Timeout)
            }
            Timer::Handshake => (
                "did not open the connection within handshake_timeout",
                Reason::Timeout,
            ),
            Timer::Frame => (
                "took longer than frame_timeout for one frame",
                Reason::Timeout,
            ),
            Timer::Message => (
                "sent next to nothing of an unfinished message within frame_timeout",
                Reason::Timeout,
            ),
            Timer::ReadIdle => ("was silent for longer than read_idle", Reason::Idle),
            Timer::WriteStall => (
                "took no output for longer than write_stall",
                Reason::Timeout,
            ),
            Timer::Asked => (
                "did not answer a ping within keepalive_timeout",
                Reason::Timeout,
            ),
            Timer::Grace => ("did not let go within drain_grace", Reason::Now),
        };
        Some(Action::End(Cause::lost(format!("the peer {what}")), reason))
    }

    /// What may have to be done, and when.
    fn timers(&self) -> [(Tick, Timer); 9] {
        let of = &self.timeouts;
        let never = Tick::NEVER;
        let after = |since: Option<Tick>, wait: Option<Duration>| match (since, wait) {
            (Some(since), Some(wait)) => since.after(wait),
            _ => never,
        };
        let unopened = (!self.opened).then_some(self.began);
        let may_ask = self.opened && self.asked.is_none();
        let asked = self.asked.and_then(|asked| match asked {
            Asked::Since(since) => Some(since),
            Asked::Queued | Asked::Taken => None,
        });
        let unasked = may_ask.then_some(self.last_read);
        let unfinished = self.unfinished.filter(|_| self.pongs.is_none());
        let unfinished = unfinished.map(|(since, _)| since);
        [
            (after(unopened, Some(of.handshake)), Timer::Handshake),
            (after(self.partial_since, Some(of.frame)), Timer::Frame),
            (after(unfinished, Some(of.frame)), Timer::Message),
            (after(Some(self.last_read), of.read_idle), Timer::ReadIdle),
            (after(self.stalled_since, of.write_stall), Timer::WriteStall),
            (after(unasked, of.keepalive), Timer::Keepalive),
            (after(asked, Some(of.keepalive_timeout)), Timer::Asked),
            (self.check_unanswered, Timer::Unanswered),
            (self.grace_ends(), Timer::Grace),
        ]
    }
}

impl Pings {
    fn since(now: Tick) -> Self {
        Self {
            since: now,
            count: 0,
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000;

    fn opened(options: Options) -> State {
        let mut state = State::new(&options, Tick::new(0));
        state.opened();
        state
    }

    fn end(action: Option<Action>) -> String {
        match action {
            Some(Action::End(cause, _)) => cause.error(true).to_string(),
            other => panic!("expected an end, got {other:?}"),
        }
    }

    #[test]
    fn a_peer_that_never_opens_is_given_up() {
        let mut state = State::new(&Options::new(), Tick::new(0));
        assert_eq!(state.next(), Tick::new(10 * SECOND));
        assert!(state.act(Tick::new(9 * SECOND), || None).is_none());
        assert!(end(state.act(Tick::new(10 * SECOND), || None)).contains("handshake_timeout"));
    }

    #[test]
    fn silence_is_asked_about_once_and_then_ends_the_connection() {
        let mut state = opened(Options::new());
        assert!(matches!(
            state.act(Tick::new(30 * SECOND), || None),
            Some(Action::Ping)
        ));
        assert!(state.act(Tick::new(30 * SECOND), || None).is_none());
        state.swapped();
        state.emptied(Tick::new(30 * SECOND));
        assert_eq!(state.next(), Tick::new(40 * SECOND));
        assert!(end(state.act(Tick::new(40 * SECOND), || None)).contains("ping"));
    }

    #[test]
    fn a_peer_that_has_not_opened_is_not_asked() {
        let second = Duration::from_secs(1);
        let state = State::new(
            &Options::new().keepalive(second).keepalive_timeout(second),
            Tick::new(0),
        );
        assert_eq!(state.next(), Tick::new(10 * SECOND));
    }

    #[test]
    fn an_answered_ping_starts_the_interval_anew() {
        let mut state = opened(Options::new());
        state.act(Tick::new(30 * SECOND), || None);
        state.read(Tick::new(31 * SECOND), true, true, None);
        state.pong();
        assert_eq!(state.next(), Tick::new(61 * SECOND));
    }

    #[test]
    fn a_dripping_frame_is_given_its_time_and_no_more() {
        let mut state = opened(Options::new().keepalive(None));
        state.read(Tick::new(SECOND), false, false, None);
        state.read(Tick::new(2 * SECOND), false, false, None);
        assert_eq!(state.next(), Tick::new(31 * SECOND));
        state.read(Tick::new(3 * SECOND), true, false, None);
        assert_eq!(
            state.next(),
            Tick::new(33 * SECOND),
            "another frame has begun"
        );
        assert!(end(state.act(Tick::new(33 * SECOND), || None)).contains("frame_timeout"));
    }

    #[test]
    fn a_stalled_stream_is_given_up_unless_it_moves() {
        let mut state = opened(Options::new().keepalive(None));
        state.stalled(Tick::new(SECOND));
        state.stalled(Tick::new(2 * SECOND));
        assert_eq!(state.next(), Tick::new(31 * SECOND));
        state.wrote();
        assert_eq!(state.next(), Tick::NEVER);
    }

    #[test]
    fn a_peer_that_answers_pings_but_no_calls_is_found() {
        let limit = Duration::from_secs(5);
        let mut state = opened(Options::new().keepalive(None).unanswered_limit(limit));
        let oldest = || Some(Tick::new(2 * SECOND));
        assert!(state.act(Tick::new(5 * SECOND), oldest).is_none());
        state.answered(Tick::new(6 * SECOND));
        assert!(state.act(Tick::new(7 * SECOND), oldest).is_none());
        assert_eq!(state.next(), Tick::new(11 * SECOND));
        assert!(end(state.act(Tick::new(11 * SECOND), oldest)).contains("unanswered_limit"));
    }

    #[test]
    fn an_idle_connection_is_not_mistaken_for_an_unanswered_one() {
        let limit = Duration::from_secs(5);
        let mut state = opened(Options::new().keepalive(None).unanswered_limit(limit));
        assert!(state.act(Tick::new(5 * SECOND), || None).is_none());
        assert_eq!(state.next(), Tick::new(10 * SECOND));
    }

    #[test]
    fn a_ping_flood_breaks_the_protocol() {
        let mut state = opened(Options::new());
        for _ in 0..MAX_PINGS_PER_SECOND {
            state.ping(Tick::new(5)).unwrap();
        }
        assert!(state.ping(Tick::new(6)).is_err());
        assert!(state.ping(Tick::new(2 * SECOND)).is_ok());
    }

    #[test]
    fn pings_behind_much_else_are_no_flood() {
        let mut state = opened(Options::new());
        for _ in 0..3 * MAX_PINGS_PER_SECOND {
            state.came(BYTES_PER_PING as usize);
            state.ping(Tick::new(5)).unwrap();
        }
        for _ in 0..MAX_PINGS_PER_SECOND {
            state.ping(Tick::new(6)).unwrap();
        }
        assert!(state.ping(Tick::new(6)).is_err());
    }

    #[test]
    fn a_drain_ends_when_the_peer_knows_or_the_grace_is_over() {
        let mut state = opened(Options::new().keepalive(None));
        state.say_goodbye(Tick::new(0));
        assert!(!state.is_drained());
        assert!(end(state.act(Tick::new(30 * SECOND), || None)).contains("drain_grace"));
        state.go_away(Tick::new(1), Reason::Ack, "").unwrap();
        assert!(state.is_drained());
    }

    #[test]
    fn what_is_refused_before_it_opened_was_not_started() {
        let mut state = State::new(&Options::new(), Tick::new(0));
        let cause = state
            .go_away(Tick::new(1), Reason::Refused, "bad secret")
            .unwrap_err();
        let error = cause.error(true);
        assert_eq!(error.execution(), crate::Execution::NotStarted);
        assert!(error.to_string().contains("bad secret"), "{error}");
    }

    #[test]
    fn the_time_for_an_answer_to_a_ping_begins_when_it_is_written_and_again_when_something_comes() {
        let mut state = opened(Options::new());
        state.act(Tick::new(30 * SECOND), || None);
        assert_eq!(state.next(), Tick::NEVER, "it is behind other output");
        state.swapped();
        state.emptied(Tick::new(50 * SECOND));
        assert_eq!(state.next(), Tick::new(60 * SECOND));
        state.read(Tick::new(55 * SECOND), false, true, None);
        assert_eq!(state.next(), Tick::new(65 * SECOND));
    }

    #[test]
    fn an_unfinished_message_has_to_grow() {
        let mut state = opened(Options::new().keepalive(None));
        state.read(Tick::new(SECOND), true, true, Some(100_000));
        state.read(Tick::new(20 * SECOND), true, true, Some(100_001));
        assert_eq!(state.next(), Tick::new(31 * SECOND));
        state.read(Tick::new(30 * SECOND), true, true, Some(200_000));
        assert_eq!(state.next(), Tick::new(60 * SECOND));
        state.read(Tick::new(50 * SECOND), true, true, None);
        assert_eq!(state.next(), Tick::NEVER);
    }

    #[test]
    fn an_unfinished_message_need_not_grow_while_the_answer_to_a_ping_waits_to_be_written() {
        let mut state = opened(Options::new().keepalive(None));
        state.read(Tick::new(SECOND), true, true, Some(100_000));
        state.ping(Tick::new(2 * SECOND)).unwrap();
        assert_eq!(state.next(), Tick::NEVER);
        state.emptied(Tick::new(40 * SECOND));
        assert_eq!(state.next(), Tick::NEVER, "that was what is before it");
        state.swapped();
        state.emptied(Tick::new(80 * SECOND));
        assert_eq!(state.next(), Tick::new((80 + 29) * SECOND));
    }

    #[test]
    fn pings_that_are_answered_at_once_give_an_unfinished_message_no_time() {
        let mut state = opened(Options::new().keepalive(None));
        state.read(Tick::new(SECOND), true, true, Some(100_000));
        for second in 2..31 {
            let now = Tick::new(second * SECOND);
            state.read(now, true, true, Some(100_000));
            state.ping(now).unwrap();
            state.swapped();
            state.emptied(now);
        }
        assert_eq!(state.next(), Tick::new(31 * SECOND));
    }
}
