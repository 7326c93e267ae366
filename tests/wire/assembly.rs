//! Messages that come in pieces, and those that are refused on the way.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use steeple::{
    Execution, Kind, Origin,
    wire::{
        Budget, Decoder, Frame, Reason,
        native::Limits,
        numbers::{flag, kind, metadata},
    },
};

use crate::support::{Line, call, call_back, drain, failed, frame, json, one, refused};

const MORE: u8 = flag::MORE;
const END: u8 = flag::END;

/// The first frame of a request under id 2, which is call 1.
fn begin(total: u64, body: &[u8]) -> Vec<u8> {
    begin_as(2, total, body)
}

fn begin_as(id: u32, total: u64, body: &[u8]) -> Vec<u8> {
    let payload = [&total.to_le_bytes(), body].concat();
    frame(kind::REQUEST, MORE, 1, id, 0, &payload)
}

/// The first frame of an answer to call 1 of the reader.
fn answer(total: u64, body: &[u8]) -> Vec<u8> {
    let payload = [&total.to_le_bytes(), body].concat();
    frame(kind::RESPONSE, MORE, 0, 3, 0, &payload)
}

fn data(flags: u8, body: &[u8]) -> Vec<u8> {
    data_as(2, flags, body)
}

fn data_as(id: u32, flags: u8, body: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, 0, id, 0, body)
}

fn cancel(id: u32, reason: u16) -> Vec<u8> {
    frame(kind::CANCEL, 0, reason, id, 0, b"")
}

/// A line on which method 1 is bound.
fn line(limits: Limits) -> Line {
    let mut line = Line::with(limits);
    line.request(1, &json("Echo", ""));
    line.read();
    line
}

fn nothing(line: &mut Line, bytes: &[u8]) {
    let frames = line.feed(bytes).unwrap();
    assert!(frames.is_empty(), "{frames:?}");
}

fn body(frames: Vec<Frame>) -> Vec<u8> {
    match one(frames) {
        Frame::Request { request, .. } => request.body().as_bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pieces_of_any_length_become_the_body() {
    let mut line = line(Limits::new());
    nothing(&mut line, &begin(6, b"ab"));
    nothing(&mut line, &data(0, b""));
    nothing(&mut line, &data(0, b"cde"));
    assert_eq!(body(line.feed(&data(END, b"f")).unwrap()), b"abcdef");
    // The id is free again.
    nothing(&mut line, &begin(0, b""));
    assert_eq!(body(line.feed(&data(END, b"")).unwrap()), b"");
}

#[test]
fn a_message_may_not_know_its_length() {
    let mut line = line(Limits::new().max_message(5));
    nothing(&mut line, &begin(u64::MAX, b"ab"));
    assert_eq!(body(line.feed(&data(END, b"cd")).unwrap()), b"abcd");
    nothing(&mut line, &begin(u64::MAX, b"ab"));
    let (_, error) = refused(line.feed(&data(0, b"cdef")).unwrap());
    assert!(error.to_string().contains("max_message (5)"), "{error}");
}

#[test]
fn data_is_taken_as_it_comes_and_not_when_it_is_all_there() {
    let budget = Budget::new(100);
    let mut line = line(Limits::new().assembly_budget(budget.clone()));
    nothing(&mut line, &begin(6, b""));
    let bytes = data(END, b"abcdef");
    nothing(&mut line, &bytes[..16 + 4]);
    assert_eq!(budget.used(), 8 + 4);
    assert!(!line.decoder.is_between_frames());
    assert_eq!(body(line.feed(&bytes[16 + 4..]).unwrap()), b"abcdef");
    assert!(line.decoder.is_between_frames());
    assert_eq!(budget.used(), 0);
}

#[test]
fn too_long_a_request_is_refused_at_once_and_the_rest_of_it_thrown_away() {
    let mut line = line(Limits::new().max_message(5));
    let (id, error) = refused(line.feed(&begin(6, b"ab")).unwrap());
    assert_eq!(id, call(1));
    assert_eq!(error.kind(), Kind::Overflow);
    assert_eq!(error.execution(), Execution::NotStarted);
    nothing(&mut line, &data(0, &[0; 100]));
    nothing(&mut line, &data(END, b"x"));
    nothing(&mut line, &begin(5, b"abcde"));
    assert_eq!(body(line.feed(&data(END, b"")).unwrap()), b"abcde");
}

#[test]
fn a_refused_message_is_unfinished_and_grows_until_its_end() {
    let mut line = line(Limits::new().max_message(5));
    assert_eq!(line.decoder.unfinished(), None);
    refused(line.feed(&begin(6, b"ab")).unwrap());
    let begun = line.decoder.unfinished().unwrap();
    nothing(&mut line, &data(0, &[0; 100]));
    assert_eq!(line.decoder.unfinished(), Some(begun + 100));
    nothing(&mut line, &data(END, b"x"));
    assert_eq!(line.decoder.unfinished(), None);
}

#[test]
fn a_refused_request_that_is_taken_back_is_forgotten() {
    let mut line = line(Limits::new().max_message(5));
    refused(line.feed(&begin(6, b"ab")).unwrap());
    nothing(&mut line, &cancel(2, 1));
    // After that it is a call like any other that the reader may not know.
    let frame = one(line.feed(&cancel(2, 1)).unwrap());
    assert!(matches!(frame, Frame::Cancel { id, reason: Reason::Dropped } if id == call(1)));
}

#[test]
fn each_budget_refuses_what_it_cannot_pay_and_has_it_all_back_in_the_end() {
    let shared = Budget::new(60);
    let limits = Limits::new()
        .max_assembly(40)
        .assembly_budget(shared.clone());
    let (mut one, mut two) = (line(limits.clone()), line(limits));
    nothing(&mut one, &begin_as(2, 99, b"0123456789"));
    nothing(&mut one, &begin_as(4, 99, b"0123456789"));
    let (id, error) = refused(one.feed(&data_as(4, 0, b"01234")).unwrap());
    assert_eq!((id, error.kind()), (call(2), Kind::Overflow));
    assert!(error.to_string().contains("max_assembly (40)"), "{error}");
    assert_eq!(shared.used(), 18);

    nothing(&mut two, &begin_as(2, 99, &[0; 28]));
    assert_eq!(shared.used(), 54);
    let (_, error) = refused(one.feed(&data_as(2, 0, b"0123456789")).unwrap());
    assert!(
        error.to_string().contains("assembly_budget (60)"),
        "{error}"
    );
    assert_eq!(shared.used(), 36);
    drop(two);
    assert_eq!(shared.used(), 0);
}

#[test]
fn metadata_of_an_unfinished_message_is_paid_for() {
    let named = [metadata::NAMED, 2, 0, 1, b'x'];
    let unknown = [200, 2, 0, 9, 9];
    for (entry, kept) in [
        (named, size_of::<(Cow<'static, str>, Bytes)>() + 1),
        (unknown, 0),
    ] {
        let budget = Budget::new(1 << 20);
        let mut line = line(Limits::new().assembly_budget(budget.clone()));
        let entries = entry.repeat(100);
        let len = (entries.len() as u16).to_le_bytes();
        let payload = [&len[..], &entries, &1u64.to_le_bytes()].concat();
        let bytes = frame(kind::REQUEST, MORE | flag::META, 1, 2, 0, &payload);
        nothing(&mut line, &bytes);
        assert_eq!(budget.used(), payload.len() + 100 * kept);
        refused(line.feed(&cancel(2, 1)).unwrap());
        assert_eq!(budget.used(), 0);
    }
}

#[test]
fn more_messages_than_may_be_under_way_are_refused() {
    let mut line = line(Limits::new());
    for index in 1..=4096 {
        nothing(&mut line, &begin_as(index * 2, 9, b""));
    }
    let (id, error) = refused(line.feed(&begin_as(10_000, 9, b"")).unwrap());
    assert_eq!((id, error.kind()), (call(5000), Kind::Overflow));
    assert!(error.to_string().contains("4096"), "{error}");
}

#[test]
fn a_request_taken_back_on_the_way_never_started() {
    let mut line = line(Limits::new());
    nothing(&mut line, &begin(6, b"ab"));
    let (id, error) = refused(line.feed(&cancel(2, 1)).unwrap());
    assert_eq!((id, error.kind()), (call(1), Kind::Cancelled));
    assert_eq!(error.execution(), Execution::NotStarted);
    let error = line.violation(&data(END, b"cdef"));
    assert!(error.contains("not under way"), "{error}");
}

#[test]
fn a_one_way_message_taken_back_on_the_way_is_nothing() {
    let mut line = line(Limits::new());
    let mut bytes = begin(6, b"ab");
    bytes[4] = kind::ONEWAY;
    nothing(&mut line, &bytes);
    nothing(&mut line, &cancel(2, 1));
    nothing(&mut line, &bytes);
    let frame = one(line.feed(&data(END, b"cdef")).unwrap());
    assert!(matches!(frame, Frame::OneWay(request) if request.body().len() == 6));
}

#[test]
fn an_answer_that_its_server_ends_fails_for_its_reason() {
    let mut line = line(Limits::new());
    for (reason, kind) in [
        (1, Kind::Cancelled),
        (2, Kind::Timeout),
        (3, Kind::Unavailable),
    ] {
        nothing(&mut line, &answer(6, b"ab"));
        let (id, error) = failed(line.feed(&cancel(3, reason)).unwrap());
        assert_eq!((id, error.kind()), (call_back(1), kind));
        assert_eq!(error.execution(), Execution::MaybeExecuted);
        assert_eq!(error.origin(), Origin::Remote);
    }
    // Not under way any more: ignored.
    nothing(&mut line, &cancel(3, 1));
}

#[test]
fn an_answer_that_cannot_be_taken_is_told_when_its_last_byte_has_come() {
    let mut line = line(Limits::new().max_message(5));
    for last in [data_as(3, END, b"f"), cancel(3, 1)] {
        nothing(&mut line, &answer(6, b"ab"));
        nothing(&mut line, &data_as(3, 0, b"cde"));
        let (id, error) = failed(line.feed(&last).unwrap());
        assert_eq!((id, error.kind()), (call_back(1), Kind::Invalid));
        assert_eq!(error.execution(), Execution::Executed);
    }
}

#[test]
fn the_rest_of_a_stream_that_is_refused_is_thrown_away() {
    let mut line = line(Limits::new());
    let stream = frame(kind::REQUEST, flag::STREAM, 1, 2, 0, b"item");
    let (_, error) = refused(line.feed(&stream).unwrap());
    assert_eq!(error.kind(), Kind::Unimplemented);
    nothing(&mut line, &data(0, b"item"));
    nothing(&mut line, &data(END, b""));
}

#[test]
fn pieces_that_cannot_be_end_the_connection() {
    for (first, then, text) in [
        (begin(6, b"ab"), data(0, b"cdefg"), "6 bytes comes with 7"),
        (begin(6, b"ab"), data(END, b"cd"), "6 bytes comes with 4"),
        (begin(6, b"ab"), data_as(4, 0, b"c"), "Dialer#2"),
        (begin(6, b"ab"), begin(6, b"ab"), "used again"),
        (vec![], begin(1, b"ab"), "1 bytes begins with 2"),
        (vec![], data(0, b"ab"), "not under way"),
        (
            vec![],
            frame(kind::REQUEST, MORE, 1, 2, 0, b"seven b"),
            "cut short",
        ),
    ] {
        let mut line = line(Limits::new());
        nothing(&mut line, &first);
        let error = line.violation(&then);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn an_id_is_not_free_while_its_refused_message_still_comes() {
    let mut line = line(Limits::new().max_message(5));
    refused(line.feed(&begin(6, b"ab")).unwrap());
    let error = line.violation(&begin(1, b"a"));
    assert!(error.contains("used again"), "{error}");
}

#[test]
fn endless_empty_pieces_end_the_connection() {
    let mut line = line(Limits::new());
    nothing(&mut line, &begin(6, b"ab"));
    let empty = data(0, b"").repeat(1024);
    nothing(&mut line, &empty);
    nothing(&mut line, &data(0, b"c"));
    nothing(&mut line, &empty);
    let error = line.violation(&data(0, b""));
    assert!(error.contains("1024 empty"), "{error}");
}

#[test]
fn refused_messages_that_never_end_are_bounded() {
    let mut line = line(Limits::new().max_message(5));
    for index in 1..=65_536 {
        refused(line.feed(&begin_as(index * 2, 6, b"")).unwrap());
    }
    let error = line.violation(&begin_as(200_000, 6, b""));
    assert!(error.contains("max_calls (65536)"), "{error}");
}

#[test]
fn frames_are_counted_when_they_end_whether_or_not_they_say_something() {
    let mut line = Line::new();
    let mut bytes = frame(kind::PAD, 0, 0, 0, 0, b"pad");
    bytes.extend(begin(5, b"abc"));
    bytes.extend(frame(kind::DATA, 0, 0, 2, 0, b"d"));
    let mut input = BytesMut::new();
    let mut ends = Vec::new();
    for (at, byte) in (1..).zip(&bytes) {
        let before = line.decoder.frames();
        input.extend_from_slice(&[*byte]);
        drain(&mut line.decoder, &mut input).unwrap();
        if line.decoder.frames() > before {
            ends.push(at);
        }
    }
    assert_eq!(ends, [19, 19 + 27, 19 + 27 + 17]);
}
