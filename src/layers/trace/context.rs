//! Where in a trace something belongs.

use std::{fmt, str::FromStr};

use bytes::Bytes;

use super::{TRACEPARENT, TRACESTATE, current};
use crate::Metadata;

/// A span of a trace, and what is passed on with it.
///
/// Printed and parsed as a `traceparent`.
///
/// ```
/// use steeple::layers::trace::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = text.parse()?;
/// assert_eq!(context.span_id(), 0x00f067aa0ba902b7);
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), text);
/// # Ok::<_, steeple::layers::trace::InvalidTrace>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    /// ASCII, checked.
    state: Bytes,
}

/// Why a text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTrace(&'static str);

/// Bytes of a `tracestate` that are passed on.
const MAX_STATE: usize = 512;

/// Entries of a `tracestate`, by the standard.
const MAX_MEMBERS: usize = 32;

/// The flags that have a meaning: sampled, and that the trace id is random. Others must not be passed on.
const KNOWN_FLAGS: u8 = SAMPLED | 0x02;

const SAMPLED: u8 = 0x01;

impl TraceContext {
    /// A span of a trace. `None` if one of the ids is 0, which stands for none.
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            flags: if sampled { SAMPLED } else { 0 },
            state: Bytes::new(),
        })
    }

    /// That of the handler that is being polled on this thread, if it is inside of a [`TraceLayer`](super::TraceLayer).
    pub fn current() -> Option<Self> {
        current::get()
    }

    /// What the metadata of a call says, by the rules of the W3C: `None` if `traceparent` is absent, repeated or
    /// wrong in any way. A `tracestate` that is wrong is left out.
    pub fn from_metadata(metadata: &Metadata) -> Option<Self> {
        let mut parents = metadata.get_all(TRACEPARENT);
        let (parent, None) = (parents.next()?, parents.next()) else {
            return None;
        };
        let mut context: Self = std::str::from_utf8(parent).ok()?.parse().ok()?;
        let mut states = metadata.get_all(TRACESTATE);
        if let (Some(state), None) = (states.next(), states.next()) {
            context.set_state(state.clone());
        }
        Some(context)
    }

    /// The trace.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span in it.
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// The flags as they travel: 1 sampled, 2 that the trace id is random.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether who made the span may have recorded it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What systems on the way have added: a `tracestate`, at most 512 bytes, empty if there is none.
    pub fn state(&self) -> &str {
        // What is kept is ASCII.
        std::str::from_utf8(&self.state).unwrap_or_default()
    }

    /// Sets the `tracestate`. One that is not well-formed is none; of one that is longer than 512 bytes, the entries
    /// that fit stay, from the front.
    pub fn set_state(&mut self, state: impl Into<Bytes>) -> &mut Self {
        let mut state = state.into();
        if is_state(&state) {
            state.truncate(fitting(&state));
            self.state = state;
        } else {
            self.state = Bytes::new();
        }
        self
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self, span_id: u64) -> Self {
        Self {
            span_id,
            ..self.clone()
        }
    }

    /// Says in the metadata of a call where it belongs, in the place of what was said there before.
    pub fn write_to(&self, metadata: &mut Metadata) {
        metadata.insert(TRACEPARENT, self.to_string());
        metadata.remove(TRACESTATE);
        if !self.state.is_empty() {
            metadata.insert(TRACESTATE, self.state.clone());
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
            ..
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTrace;

    /// A `traceparent`. Of a later version, what is known is read and the rest left out.
    fn from_str(text: &str) -> Result<Self, InvalidTrace> {
        let bytes = text.as_bytes();
        let (known, rest) = bytes
            .split_first_chunk::<55>()
            .ok_or(InvalidTrace("a traceparent has at least 55 bytes"))?;
        if [known[2], known[35], known[52]] != [b'-'; 3] {
            return Err(InvalidTrace(
                "the parts of a traceparent are parted by dashes",
            ));
        }
        let version = hex(&known[..2])?;
        match (version, rest.first()) {
            (0xff, _) => return Err(InvalidTrace("version ff is none")),
            (0, Some(_)) => return Err(InvalidTrace("a traceparent of version 00 has 55 bytes")),
            (_, None | Some(b'-')) => {}
            (_, Some(_)) => return Err(InvalidTrace("what a version adds follows a dash")),
        }
        let (trace_id, span_id) = (hex(&known[3..35])?, hex(&known[36..52])?);
        let flags = hex(&known[53..])? as u8 & KNOWN_FLAGS;
        let context = Self::new(trace_id, span_id as u64, false);
        let context = context.ok_or(InvalidTrace("an id of all zeros is none"))?;
        Ok(Self { flags, ..context })
    }
}

impl fmt::Display for InvalidTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidTrace {}

/// At most 32 lowercase digits.
fn hex(digits: &[u8]) -> Result<u128, InvalidTrace> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(InvalidTrace("the digits are 0 to 9 and a to f")),
        };
        Ok(number << 4 | u128::from(value))
    })
}

/// Whether this is a list of keys with values.
fn is_state(state: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    if !state.iter().all(printable) {
        return false;
    }
    let members = state.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut members = members.filter(|member| !member.is_empty());
    let well_formed = members.by_ref().take(MAX_MEMBERS).all(is_member);
    well_formed && members.next().is_none()
}

fn is_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    let (key, value) = (&member[..at], &member[at + 1..]);
    let of_key =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(byte);
    let of_value = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=';
    let lengths = (1..=256).contains(&key.len()) && (1..=256).contains(&value.len());
    lengths && key.iter().all(of_key) && value.iter().all(of_value)
}

/// How many bytes of a `tracestate` are passed on: whole entries.
fn fitting(state: &[u8]) -> usize {
    if state.len() <= MAX_STATE {
        return state.len();
    }
    let last = state[..=MAX_STATE].iter().rposition(|byte| *byte == b',');
    last.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn state_of(state: &str) -> String {
        let mut context: TraceContext = PARENT.parse().unwrap();
        context.set_state(state.to_owned());
        context.state().to_owned()
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for wrong in [
            String::new(),
            format!("00-{ids}-1"),
            format!("00-{ids}-01-"),
            format!("00-{ids}-01x"),
            format!("cc-{ids}-01x"),
            format!("ff-{ids}-01"),
            format!("0G-{ids}-01"),
            format!("00_{ids}-01"),
            format!("00-{ids}_01"),
            format!("00-{ids}-0A"),
            format!("00-{}-01", ids.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16)),
        ] {
            assert!(wrong.parse::<TraceContext>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_later_version_what_is_known_is_read_and_version_00_passed_on() {
        let later = PARENT.replacen("00", "cc", 1) + "-what-the-future-will-be-like";
        let context: TraceContext = later.parse().unwrap();
        assert_eq!(context.to_string(), PARENT);
    }

    #[test]
    fn flags_without_a_meaning_are_not_passed_on() {
        let context: TraceContext = PARENT.replace("-01", "-ff").parse().unwrap();
        assert_eq!(context.flags(), 3);
        let context: TraceContext = PARENT.replace("-01", "-fc").parse().unwrap();
        assert!(!context.is_sampled());
        assert_eq!(context.flags(), 0);
    }

    #[test]
    fn metadata_with_two_parents_says_nothing() {
        let mut metadata = Metadata::from_iter([(TRACEPARENT, PARENT)]);
        assert!(TraceContext::from_metadata(&metadata).is_some());
        metadata.append(TRACEPARENT, PARENT);
        assert_eq!(TraceContext::from_metadata(&metadata), None);
        assert_eq!(TraceContext::from_metadata(&Metadata::new()), None);
    }

    #[test]
    fn a_state_that_is_wrong_is_left_out_and_its_parent_stays() {
        for good in [
            "a=1",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "a=1, b=2",
            "t@v=x",
            "a=1,,b=2",
        ] {
            assert_eq!(state_of(good), good);
        }
        for wrong in [
            "a",
            "=1",
            "a=",
            "A=1",
            "a=1=2",
            "a=\u{e9}",
            "a=1\n,b=2",
            &"a=1,".repeat(33),
        ] {
            assert_eq!(state_of(wrong), "", "{wrong}");
        }
        let metadata = Metadata::from_iter([(TRACEPARENT, PARENT), (TRACESTATE, "?")]);
        let context = TraceContext::from_metadata(&metadata).unwrap();
        assert_eq!(
            (context.to_string().as_str(), context.state()),
            (PARENT, "")
        );
    }

    #[test]
    fn a_state_that_is_too_long_loses_entries_at_its_end() {
        let entry = format!("k={}", "v".repeat(200));
        let long = [&entry[..]; 3].join(",");
        assert_eq!(state_of(&long), [&entry[..]; 2].join(","));
        let exact = format!("a={},b={}", "v".repeat(254), "w".repeat(253));
        assert_eq!(exact.len(), MAX_STATE);
        assert_eq!(state_of(&format!("{exact},c=1")), exact);
    }

    proptest! {
        #[test]
        fn a_context_survives_the_metadata(
            trace_id in 1u128..,
            span_id in 1u64..,
            sampled: bool,
            state in "([a-z]{1,8}=[A-Za-z0-9]{1,8}){0,1}(,[a-z]{1,8}=[A-Za-z0-9]{1,8}){0,20}",
        ) {
            let mut context = TraceContext::new(trace_id, span_id, sampled).unwrap();
            context.set_state(state);
            let mut metadata = Metadata::from_iter([(TRACESTATE, "of=another")]);
            context.write_to(&mut metadata);
            prop_assert_eq!(TraceContext::from_metadata(&metadata), Some(context));
        }

        #[test]
        fn any_text_is_refused_or_is_written_as_it_was_read(text in "[0-9a-fA-F-]{50,60}|\\PC{0,60}") {
            if let Ok(context) = text.parse::<TraceContext>() {
                prop_assert_eq!(context.to_string()[3..52].to_owned(), text[3..52].to_owned());
            }
        }

        #[test]
        fn a_parent_with_one_wrong_byte_is_refused_or_read_strictly(
            at in 0usize..55,
            byte in any::<char>(),
        ) {
            let mut text: Vec<char> = PARENT.chars().collect();
            text[at] = byte;
            let text: String = text.into_iter().collect();
            let strict = text.len() == 55
                && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f' | b'-'))
                && !text.starts_with("ff");
            let dashes = text.bytes().enumerate().all(|(at, it)| (it == b'-') == [2, 35, 52].contains(&at));
            prop_assert_eq!(text.parse::<TraceContext>().is_ok(), strict && dashes);
        }

        #[test]
        fn any_state_is_kept_within_its_bound_or_left_out(state in prop::collection::vec(any::<u8>(), 0..1200)) {
            let mut context: TraceContext = PARENT.parse().unwrap();
            context.set_state(state.clone());
            prop_assert!(context.state().len() <= MAX_STATE);
            prop_assert!(state.starts_with(context.state().as_bytes()));
        }
    }
}
