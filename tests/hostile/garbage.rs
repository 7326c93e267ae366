//! Bytes that are not what they should be.

use std::time::Duration;

use fastrand::Rng;
use steeple::wire::numbers::{flag, kind, metadata, reason, status};

use crate::{
    support::{
        Frame, RawPeer, bind, cancel, data, goaway, hello, magic, one_way, ping, pong, request,
        response, settle, status_of,
    },
    town::Town,
};

/// A conversation in which every kind of frame occurs.
fn conversation() -> Vec<u8> {
    let mut bytes = magic(1, 1).to_vec();
    let mut numbered = request(4, "").code(1).body("x");
    numbered.method = None;
    for frame in [
        hello(),
        bind(1, "echo"),
        numbered,
        request(2, "echo").named("k", "v").body("body"),
        request(6, "echo").of_total(6).body("abc"),
        ping(7),
        pong(7),
        data(6, b"def").end(),
        one_way("echo").body("x"),
        request(8, "never"),
        cancel(8, reason::DROPPED),
        response(5).body("?"),
        Frame::new(kind::PAD, 0).body("padding"),
        goaway(reason::SHUTDOWN).body("bye"),
    ] {
        bytes.extend(frame.encode());
    }
    bytes
}

/// Reads whatever comes until the end.
async fn drink(mut peer: RawPeer) {
    peer.shutdown().await;
    peer.drink().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_may_break_off_anywhere() {
    let town = Town::new().await;
    let bytes = conversation();
    for end in 0..bytes.len() {
        let mut peer = town.stranger().await;
        peer.write(&bytes[..end]).await;
        drink(peer).await;
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_may_be_wrong_in_any_byte() {
    let town = Town::new().await;
    let bytes = conversation();
    let mut rng = Rng::with_seed(1);
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= rng.u8(1..);
        let mut peer = town.stranger().await;
        peer.try_write(&bytes).await;
        drink(peer).await;
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn its_frames_may_come_in_any_order() {
    let town = Town::new().await;
    let mut rng = Rng::with_seed(2);
    for _ in 0..300 {
        let mut frames = Vec::new();
        let mut rest = conversation().split_off(8);
        while let Some(len) = rest.first_chunk().copied() {
            let after = rest.split_off(16 + u32::from_le_bytes(len) as usize);
            frames.push(std::mem::replace(&mut rest, after));
        }
        rng.shuffle(&mut frames);
        let mut peer = town.stranger().await;
        peer.write(&magic(1, 1)).await;
        if rng.bool() {
            peer.send(hello()).await;
        }
        peer.try_write(&frames.concat()).await;
        drink(peer).await;
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn noise_is_survived() {
    let town = Town::new().await;
    let mut rng = Rng::with_seed(3);
    for round in 0..300 {
        let mut noise = vec![0; rng.usize(0..3000)];
        rng.fill(&mut noise);
        let mut peer = match round % 3 {
            0 => town.stranger().await,
            _ => town.enemy().await,
        };
        peer.try_write(&noise).await;
        drink(peer).await;
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn frames_of_noise_are_survived() {
    let town = Town::new().await;
    let mut rng = Rng::with_seed(4);
    for _ in 0..500 {
        let mut peer = town.enemy().await;
        for _ in 0..rng.usize(1..30) {
            let mut payload = vec![0; rng.usize(0..200)];
            rng.fill(&mut payload);
            let frame = Frame {
                flags: if rng.bool() { 0 } else { rng.u8(..) },
                code: rng.u16(0..4),
                aux: rng.u32(..),
                ..Frame::new(rng.u8(2..13), rng.u32(0..8))
            };
            if !peer.try_write(&frame.body(payload).encode()).await {
                break;
            }
        }
        drink(peer).await;
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_longer_than_max_frame_is_refused_by_its_header() {
    let town = Town::new().await;
    for kind in [kind::REQUEST, kind::DATA, kind::PING, kind::PAD, 200] {
        for len in [128 * 1024 + 1, u32::MAX] {
            let mut peer = town.enemy().await;
            let mut header = Frame::new(kind, 2).encode();
            header[..4].copy_from_slice(&len.to_le_bytes());
            peer.write(&header).await;
            let text = peer.expect_goaway(reason::PROTOCOL).await;
            assert!(
                text.contains(&format!("{len} bytes exceeds max_frame")),
                "{text}"
            );
            peer.expect_eof().await;
        }
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn kinds_that_must_be_known_end_the_connection_and_others_are_skipped() {
    let town = Town::new().await;
    for kind in [0, 7, 11, 13, 50, 127] {
        let mut peer = town.enemy().await;
        peer.send(Frame::new(kind, 0)).await;
        let text = peer.expect_goaway(reason::PROTOCOL).await;
        assert!(
            text.contains(&format!("kind {kind} is not known")),
            "{text}"
        );
        peer.expect_eof().await;
    }
    let mut peer = town.enemy().await;
    for kind in 128..=255 {
        peer.send(
            Frame::new(kind, kind.into())
                .flags(flag::RESERVED_CRITICAL)
                .body("?"),
        )
        .await;
    }
    peer.send(request(2, "echo")).await;
    peer.expect(response(2)).await;
    drink(peer).await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn ids_of_the_wrong_side_or_of_nobody_end_the_connection() {
    let town = Town::new().await;
    let of_data = |id| request(id, "echo").of_total(9).body("x");
    let answer = |id| response(id).of_total(9).body("x");
    let mut note = one_way("echo").of_total(9);
    note.id = 7;
    for frame in [
        request(3, "echo"),
        request(0, "echo"),
        request(1, "echo"),
        of_data(5),
        note,
    ] {
        let mut peer = town.enemy().await;
        peer.send(frame).await;
        let text = peer.expect_goaway(reason::PROTOCOL).await;
        assert!(text.contains("cannot be the id"), "{text}");
        peer.expect_eof().await;
    }
    for frame in [response(2), answer(4)] {
        let mut peer = town.enemy().await;
        peer.send(frame).await;
        peer.expect_goaway(reason::PROTOCOL).await;
        peer.expect_eof().await;
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_begun_twice_ends_the_connection() {
    let town = Town::new().await;
    let begin = || request(2, "echo").of_total(9).body("x");
    for second in [begin(), request(2, "echo")] {
        let mut peer = town.enemy().await;
        peer.send_all([begin(), second]).await;
        let text = peer.expect_goaway(reason::PROTOCOL).await;
        assert!(text.contains("used again"), "{text}");
        peer.expect_eof().await;
    }
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_under_an_id_in_use_does_not_get_two_answers() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let bad = request(2, "echo").meta(metadata::NAMED, [0]);
    peer.send_all([request(2, "never"), bad]).await;
    let text = peer.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("in use"), "{text}");
    peer.expect_eof().await;
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn metadata_that_is_too_much_is_refused_by_the_name_of_its_limit() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let names = (0..257).fold(request(2, "echo"), |frame, _| frame.named("n", ""));
    let bytes = request(4, "echo").named("k", vec![0; 16 * 1024]);
    peer.send_all([names, bytes, request(6, "echo").body("x")])
        .await;
    for (id, limit) in [(2, "max_metadata_names (256)"), (4, "max_metadata (16384)")] {
        let (code, not_processed, text) = status_of(&peer.expect_response(id).await);
        assert_eq!((code, not_processed), (status::INVALID, true));
        assert!(text.contains(limit), "{text}");
    }
    peer.expect(response(6).body("x")).await;
    drink(peer).await;
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn peers_that_drip_are_let_go() {
    let town = Town::new().await;
    let mut peers = Vec::new();
    for n in 0..50 {
        let mut peer = match n % 2 {
            0 => town.stranger().await,
            _ => town.enemy().await,
        };
        let begun = if n % 2 == 0 { magic(1, 1)[0] } else { 200 };
        peer.write(&[begun]).await;
        peers.push(peer);
    }
    settle().await;
    assert_eq!(town.handle.peers().len(), 51);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        for (n, peer) in peers.iter_mut().enumerate() {
            if n % 2 == 1 {
                peer.try_write(&[0]).await;
            }
        }
    }
    assert_eq!(town.handle.peers().len(), 1);
    town.ends_well().await;
}
