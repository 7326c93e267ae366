//! The bulk lane, and taking back what has not been written.

use std::collections::HashMap;

use bytes::Buf;
use steeple::{
    Body, Request, Response,
    wire::{Encoder, Frame, Id, Lane, Out, Reason},
};

use crate::support::{Line, call, call_back, json, one, show};

const CHUNK: usize = 64 * 1024;

fn long(chunks: usize) -> Request {
    Request::new("Long", Body::from(vec![b'x'; chunks * CHUNK]))
}

#[test]
fn messages_take_turns_chunk_by_chunk() {
    let mut line = Line::new();
    line.request(1, &long(3));
    line.request(2, &long(2));
    let id = Some(call(3));
    let lane = line.encoder.one_way(id, &long(2), &mut line.out).unwrap();
    assert_eq!(lane, Lane::Bulk);
    let mut turns = Vec::new();
    while let Some(chunk) = line.encoder.next_chunk(&mut line.out) {
        turns.push((chunk.id.index(), chunk.last));
    }
    let expected = [
        (1, false),
        (2, false),
        (3, false),
        (1, false),
        (2, true),
        (3, true),
        (1, true),
    ];
    assert_eq!(turns, expected);
    let frames = line.read();
    assert!(matches!(&frames[0], Frame::Request { id, .. } if *id == call(2)));
    assert!(matches!(&frames[1], Frame::OneWay(request) if request.body().len() == 2 * CHUNK));
    assert!(matches!(&frames[2], Frame::Request { id, .. } if *id == call(1)));
}

#[test]
fn a_small_message_passes_a_long_one() {
    let mut line = Line::new();
    line.request(1, &long(2));
    line.encoder.next_chunk(&mut line.out).unwrap();
    line.request(2, &json("Small", "1"));
    line.encoder.next_chunk(&mut line.out).unwrap();
    let ids: Vec<Id> = line
        .read()
        .into_iter()
        .map(|frame| match frame {
            Frame::Request { id, .. } => id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [call(2), call(1)]);
}

#[test]
fn the_body_of_a_chunk_is_not_copied() {
    let mut line = Line::new();
    let request = long(2);
    line.request(1, &request);
    line.take();
    line.encoder.next_chunk(&mut line.out).unwrap();
    let header = 16 + 8;
    assert_eq!(line.out.flat_len(), header);
    line.out.advance(header);
    assert_eq!(
        line.out.chunk().as_ptr(),
        request.body().as_bytes().as_ptr()
    );
}

#[test]
fn a_message_is_taken_out_of_the_lane_and_it_is_told_whether_it_had_begun() {
    let mut line = Line::new();
    line.request(1, &long(2));
    line.request(2, &long(2));
    line.encoder.next_chunk(&mut line.out).unwrap();
    assert_eq!(line.encoder.drop_bulk(call(2)).map(|it| it.0), Some(false));
    assert_eq!(line.encoder.drop_bulk(call(1)).map(|it| it.0), Some(true));
    assert_eq!(line.encoder.drop_bulk(call(1)).map(|it| it.0), None);
    assert_eq!(line.encoder.next_chunk(&mut line.out), None);
    line.encoder.cancel(call(1), Reason::Dropped, &mut line.out);
    let frame = one(line.read());
    assert!(matches!(&frame, Frame::Refused { id, .. } if *id == call(1)));
}

#[test]
fn long_answers_go_by_the_lane_too() {
    let mut line = Line::new();
    // The dialling side answers a call of the accepting side.
    let response = Response::new(Body::from(vec![1; CHUNK + 1]));
    let id = call_back(1);
    let lane = line
        .encoder
        .response(id, Ok(&response), &mut line.out)
        .unwrap();
    assert_eq!(lane, Lane::Bulk);
    while line.encoder.next_chunk(&mut line.out).is_some() {}
    let frame = one(line.read());
    let Frame::Response {
        result: Ok(got), ..
    } = &frame
    else {
        panic!("{frame:?}");
    };
    assert_eq!(got.body(), response.body());
}

#[test]
fn a_voided_message_is_skipped_and_its_neighbours_are_not() {
    let mut with_meta = Request::new("Sliced", Body::from(vec![7; 5000]));
    with_meta.metadata_mut().insert("a", "b");
    let kinds: [Request; 4] = [
        json("Flat", "1"),
        Request::new("Flat", Body::empty()),
        Request::new("Sliced", Body::from(vec![8; 5000])),
        with_meta,
    ];
    // Every message voided among every pair of neighbours, as the first of its method and as a later one.
    let mut seen = HashMap::new();
    for first_use in [true, false] {
        for (before, voided, after) in triples(&kinds) {
            let mut line = Line::new();
            if !first_use {
                for request in &kinds {
                    line.request(9, request);
                }
                line.read();
            }
            line.request(1, before);
            let at = line.out.flat_len();
            line.request(2, voided);
            line.request(3, after);
            // The same method again relies on the binding, which must not go with the voided message.
            line.request(4, voided);
            line.encoder.void(at, &mut line.out).unwrap();
            let frames: Vec<_> = line.read().iter().map(show).collect();
            assert_eq!(frames.len(), 3, "{frames:?}");
            *seen.entry(frames.join("\n")).or_insert(0) += 1;
        }
    }
    // With and without the bindings the same arrives.
    assert!(seen.values().all(|times| *times == 2), "{seen:?}");
    assert_eq!(seen.len(), kinds.len().pow(3));
}

#[test]
fn what_is_voided_does_not_take_its_body_along() {
    let mut line = Line::new();
    line.request(1, &json("Echo", "1"));
    line.read();
    line.request(2, &Request::new("Echo", Body::from(vec![b'x'; 5000])));
    let body = line.encoder.void(0, &mut line.out).unwrap();
    assert_eq!(body.len(), 5000);
    let bytes = line.take();
    assert!(bytes.len() < 100, "{} bytes", bytes.len());
    assert!(line.feed(&bytes).unwrap().is_empty());
}

#[test]
fn there_is_nothing_to_void_in_an_empty_output() {
    let mut line = Line::new();
    assert_eq!(line.encoder.void(0, &mut Out::new(0)), None);
}

fn triples(all: &[Request]) -> impl Iterator<Item = (&Request, &Request, &Request)> {
    all.iter()
        .flat_map(move |a| all.iter().map(move |b| (a, b)))
        .flat_map(move |(a, b)| all.iter().map(move |c| (a, b, c)))
}
