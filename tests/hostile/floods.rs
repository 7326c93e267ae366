//! Too much of what is allowed.

use std::time::Duration;

use steeple::{
    Kind, Options,
    wire::numbers::{kind, reason, total},
};

use crate::{
    support::{
        Frame, RawPeer, bind, cancel, data, goaway, hello, one_way, ping, pong, request, response,
        settle, soon,
    },
    town::Town,
};

/// Writes a frame again and again, until the server has had enough. How many it took.
async fn flood(peer: &mut RawPeer, at_most: usize, frame: impl Fn(u32) -> Vec<u8>) -> usize {
    let mut sent = 0;
    while sent < at_most {
        let batch: Vec<u8> = (0..100).flat_map(|n| frame(sent as u32 + n)).collect();
        if !peer.try_write(&batch).await {
            break;
        }
        sent += 100;
        settle().await;
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_hellos_ends_with_the_second() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    flood(&mut peer, 10_000, |_| hello().encode()).await;
    let text = peer.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("second HELLO"), "{text}");
    peer.drink().await;
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_binds_ends_at_max_bindings() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let name = "x".repeat(255);
    flood(&mut peer, 10_000, |n| bind(n as u16 + 1, &name).encode()).await;
    let text = peer.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("max_bindings (1024)"), "{text}");
    peer.drink().await;
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_ends_by_its_rate() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let pings: Vec<u8> = (0..2000).flat_map(|n| ping(n).encode()).collect();
    peer.try_write(&pings).await;
    let mut pongs = 0;
    let text = loop {
        let frame = peer.message().await;
        if frame.kind == kind::GOAWAY {
            assert_eq!(frame.code, reason::LIMIT);
            break String::from_utf8(frame.body).unwrap();
        }
        pongs += 1;
    };
    assert!(text.contains("1000 pings in a second"), "{text}");
    assert!(pongs <= 1000);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn pings_in_one_read_are_answered_together_and_the_last_is_not_forgotten() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    peer.send_all((0..100).map(ping)).await;
    let mut last = 0;
    while last != 99 {
        let frame = peer.message().await;
        assert_eq!(frame.kind, kind::PONG);
        last = frame.aux;
    }
    peer.expect_silence().await;
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn floods_of_what_means_nothing_cost_nothing() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let frames: [fn(u32) -> Frame; 5] = [
        |n| cancel(2 * n + 2, reason::DROPPED),
        |n| response(2 * n + 3),
        pong,
        |_| goaway(reason::ACK),
        |_| Frame::new(kind::PAD, 0).body([0; 100]),
    ];
    for frame in frames {
        let sent = flood(&mut peer, 20_000, |n| frame(n).encode()).await;
        assert_eq!(sent, 20_000);
    }
    peer.send(request(2, "echo")).await;
    peer.expect(response(2)).await;
    let stats = town.handle.stats();
    assert_eq!((stats.late_cancels, stats.late_answers), (20_000, 20_000));
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_goodbyes_is_acknowledged_once() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    flood(&mut peer, 10_000, |_| goaway(reason::SHUTDOWN).encode()).await;
    peer.expect(goaway(reason::ACK)).await;
    peer.expect_silence().await;
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn rapid_resets_leave_no_handlers_behind() {
    let options = Options::new().max_waiting(100, 100_000).max_handlers(100);
    let town = Town::with(options.max_unsent(1024 * 1024)).await;
    let mut peer = town.enemy().await;
    let pair = |n: u32| {
        let mut bytes = request(2 * n + 2, "never").encode();
        bytes.extend(cancel(2 * n + 2, reason::DROPPED).encode());
        bytes
    };
    // Nobody reads the answers.
    let sent = flood(&mut peer, 100_000, pair).await;
    assert!(
        sent < 100_000,
        "nothing bounds the answers that nobody reads"
    );
    peer.drink().await;
    town.until_alone().await;
    settle().await;
    assert_eq!(
        town.probe.started() - town.probe.finished(),
        town.probe.dropped()
    );
    assert_eq!(town.handle.stats().handling, 0);
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn rapid_resets_whose_answers_are_read_are_served_one_by_one() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    for round in 0..100 {
        let ids = (0..100).map(|n| 2 * (100 * round + n) + 2);
        peer.send_all(
            ids.clone()
                .flat_map(|id| [request(id, "never"), cancel(id, 1)]),
        )
        .await;
        let mut answered: Vec<u32> = Vec::new();
        for _ in ids.clone() {
            answered.push(peer.message().await.id);
        }
        answered.sort();
        assert!(answered.into_iter().eq(ids), "each request has one answer");
    }
    assert_eq!(town.handle.stats().served.errors(Kind::Cancelled), 10_000);
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_requests_fills_the_queue_and_is_then_refused() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let sent = flood(&mut peer, 1_000_000, |n| {
        request(2 * n + 2, "never").encode()
    })
    .await;
    assert!(sent < 1_000_000, "refusals pile up without a bound");
    peer.drink().await;
    town.until_alone().await;
    assert!(town.probe.dropped() <= 100, "max_handlers");
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_without_an_answer_is_dropped_and_counted() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    let sent = flood(&mut peer, 20_000, |_| one_way("never").encode()).await;
    let stats = town.handle.stats();
    assert_eq!((sent, stats.one_way_received), (20_000, 20_000));
    assert_eq!(stats.one_way_dropped, 20_000 - 200, "100 run, 100 wait");
    drop(peer);
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_empty_data_ends_the_connection() {
    let town = Town::new().await;
    let mut peer = town.enemy().await;
    peer.send(request(2, "echo").of_total(total::UNKNOWN)).await;
    flood(&mut peer, 100_000, |_| data(2, b"").encode()).await;
    let text = peer.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("1024 empty DATA"), "{text}");
    peer.drink().await;
    town.until_alone().await;
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_say_nothing_are_let_go() {
    let town = Town::new().await;
    let mut peers = Vec::new();
    for _ in 0..100 {
        peers.push(town.stranger().await);
    }
    settle().await;
    assert_eq!(town.handle.peers().len(), 101);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(town.handle.peers().len(), 1);
    town.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_for_much_and_reads_nothing_starts_few_handlers_and_is_let_go() {
    let options = Options::new()
        .max_unsent(1_000_000)
        .max_waiting(100, 100_000);
    let town = Town::with(options).await;
    let mut peer = town.enemy().await;
    let before = town.probe.started();
    peer.send_all((1..=100).map(|n| request(2 * n, "big").body("300000")))
        .await;
    settle().await;
    assert!(town.probe.started() - before <= 6);
    tokio::time::sleep(Duration::from_secs(35)).await;
    soon(town.until_alone()).await;
    drop(peer);
    town.ends_well().await;
}
