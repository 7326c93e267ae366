//! Messages that are begun and not ended, so that their bytes are held.

use steeple::wire::numbers::{kind, reason, status, total};

use crate::{
    support::{cancel, data, one_way, request, response, settle, status_of},
    town::{MAX_ASSEMBLY, Town},
};

#[tokio::test(start_paused = true)]
async fn what_is_announced_costs_nothing() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    for n in 1..=4000 {
        peer.send(request(2 * n, "echo").of_total(64 << 20).body("x"))
            .await;
    }
    settle().await;
    assert!(
        town.budget.used() < 4000 * 100,
        "{} bytes",
        town.budget.used()
    );
    peer.send(request(9000, "echo").body("x")).await;
    peer.expect(response(9000).body("x")).await;
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn messages_under_way_are_bounded_in_number() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    for n in 1..=5000 {
        peer.send(request(2 * n, "echo").of_total(total::UNKNOWN))
            .await;
    }
    for n in 4097..=5000 {
        let (code, not_processed, text) = status_of(&peer.expect_response(2 * n).await);
        assert_eq!((code, not_processed), (status::EXHAUSTED, true));
        assert!(text.contains("4096 messages are under way"), "{text}");
    }
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_one_connection_are_bounded_and_no_other_pays() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let chunk = vec![0; 100_000];
    for n in 1..=20 {
        peer.send(request(2 * n, "echo").of_total(200_000).body(&chunk))
            .await;
    }
    for n in 11..=20 {
        let (code, not_processed, text) = status_of(&peer.expect_response(2 * n).await);
        assert_eq!((code, not_processed), (status::EXHAUSTED, true));
        assert!(text.contains("max_assembly (1048576)"), "{text}");
    }
    assert!(town.budget.used() <= MAX_ASSEMBLY);
    // One that ends makes room.
    peer.send_all([cancel(2, reason::DROPPED), data(4, &chunk).end()])
        .await;
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let frame = peer.message().await;
        if frame.kind == kind::RESPONSE {
            answers.push(frame.id);
        }
    }
    assert_eq!(answers, [2, 4]);
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_all_connections_are_bounded_and_given_back() {
    let town = Town::new().await;
    let chunk = vec![0; 100_000];
    let mut peers = Vec::new();
    let mut refused = 0;
    for _ in 0..12 {
        let mut peer = town.enemy().await;
        for n in 1..=10 {
            peer.send(request(2 * n, "echo").of_total(200_000).body(&chunk))
                .await;
        }
        peer.send(request(100, "echo")).await;
        loop {
            let frame = peer.message().await;
            if frame.id == 100 {
                break;
            }
            let (_, not_processed, text) = status_of(&frame);
            assert!(
                not_processed && text.contains("assembly_budget (8388608)"),
                "{text}"
            );
            refused += 1;
        }
        peers.push(peer);
    }
    assert!(refused > 0 && town.budget.used() <= town.budget.limit());
    drop(peers);
    town.until_alone().await;
    assert_eq!(town.budget.used(), 0);
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn large_messages_without_an_answer_pay_too() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    for n in 1..=20 {
        let mut note = one_way("echo").of_total(200_000).body(vec![0; 100_000]);
        note.id = 2 * n;
        peer.send(note).await;
    }
    settle().await;
    assert!(town.budget.used() <= MAX_ASSEMBLY);
    peer.send(request(100, "echo")).await;
    peer.expect(response(100)).await;
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn more_refused_messages_than_calls_end_the_connection() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let mut refused = 0;
    let text = 'flood: loop {
        let ids = (1..=1000).map(|n| 2 * (refused + n));
        peer.send_all(ids.map(|id| request(id, "echo").of_total(1 << 40)))
            .await;
        for _ in 0..1000 {
            let frame = peer.message().await;
            if frame.kind == kind::GOAWAY {
                break 'flood String::from_utf8(frame.body).unwrap();
            }
            assert!(status_of(&frame).1);
            refused += 1;
        }
        assert!(
            refused < 100_000,
            "nothing bounds the ids whose bytes are thrown away"
        );
    };
    assert!(text.contains("max_calls (65536)"), "{text}");
    assert_eq!(refused, 65_536);
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}
