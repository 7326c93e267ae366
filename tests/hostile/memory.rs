//! What peers that mean harm can make this process hold, by the bytes that are allocated and not freed: those of the
//! network between are counted too.

use std::time::Duration;

use allocation_counter::measure;
use fastrand::Rng;
use steeple::{
    Options,
    wire::{
        native::Native,
        numbers::{compression, flag, kind, reason, total},
    },
};
use tokio::runtime::Runtime;
use tower::Service;

use crate::{
    support::{
        Frame, RawPeer, bind, call, cancel, data, dial_with, goaway, hello, one_way, ping, request,
        response, settle,
    },
    town::{BUDGET, MAX_ASSEMBLY, Town},
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What a connection takes to read and write, with the two directions of the network under it.
const BUFFERS: u64 = 512 * KIB;

/// What messages take that were refused and of which more may come: an id for each, and what is told of it.
const REFUSED: u64 = 65_536 * 128;

/// Bytes that one attack sends, if it is let: what is kept of them for good shows.
const MUCH: usize = 6 * 1024 * 1024;

/// A town in its own runtime, on this thread.
struct Attacked {
    runtime: Runtime,
    town: Town,
}

impl Attacked {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let town = runtime.block_on(Town::new());
        Self { runtime, town }
    }

    /// The most bytes that are held at once while this goes on, beyond those before.
    #[track_caller]
    fn holds(&self, at_most: u64, attack: impl AsyncFnOnce(&Town)) {
        let attack = async || {
            attack(&self.town).await;
            settle().await;
        };
        let held = measure(|| self.runtime.block_on(attack())).bytes_max;
        assert!(held <= at_most, "{held} bytes are held, and not {at_most}");
    }

    /// A flood by one peer that reads nothing.
    #[track_caller]
    fn flooded_holds(self, at_most: u64, frame: impl Fn(u32) -> Frame) {
        let flood: Vec<u8> = (0..).flat_map(|n| frame(n).encode()).take(MUCH).collect();
        let mut peer = self.runtime.block_on(self.town.enemy());
        self.holds(at_most, async |_| flood_with(&mut peer, &flood).await);
        self.ends_well();
    }

    fn ends_well(self) {
        let Self { runtime, town } = self;
        runtime.block_on(async {
            town.until_alone().await;
            town.ends_well().await;
        });
    }
}

/// Writes all of it, or until the server has had enough.
async fn flood_with(peer: &mut RawPeer, bytes: &[u8]) {
    for part in bytes.chunks(10_000) {
        if !peer.try_write(part).await {
            break;
        }
        settle().await;
    }
}

#[test]
fn noise_takes_no_more_than_a_buffer() {
    let attacked = Attacked::new();
    let mut noise = vec![0; MUCH / 4];
    Rng::with_seed(7).fill(&mut noise);
    attacked.holds(BUFFERS, async |town| {
        for part in noise.chunks(100_000) {
            flood_with(&mut town.stranger().await, part).await;
            flood_with(&mut town.enemy().await, part).await;
        }
    });
    attacked.ends_well();
}

#[test]
fn a_flood_of_hellos_takes_no_more_than_a_buffer() {
    Attacked::new().flooded_holds(BUFFERS, |_| hello());
}

#[test]
fn a_flood_of_binds_takes_no_more_than_the_names_that_may_be_bound() {
    let name = "x".repeat(255);
    Attacked::new().flooded_holds(BUFFERS + 1024 * 512, |n| bind(n as u16 + 1, &name));
}

#[test]
fn a_flood_of_pings_takes_no_more_than_the_pongs_that_may_wait() {
    // Each has a little more than 64 KiB of padding, so that their rate is allowed.
    Attacked::new().flooded_holds(BUFFERS, |n| ping(n).body(vec![0; 70 * 1024]));
    Attacked::new().flooded_holds(BUFFERS, ping);
}

#[test]
fn a_flood_of_cancels_takes_no_more_than_a_buffer() {
    Attacked::new().flooded_holds(BUFFERS, |n| cancel(2 * n + 2, reason::DROPPED));
}

#[test]
fn a_flood_of_requests_takes_no_more_than_those_that_may_wait_and_the_refusals() {
    Attacked::new().flooded_holds(BUFFERS + 3 * MIB, |n| request(2 * n + 2, "never"));
}

#[test]
fn a_flood_of_what_means_nothing_takes_no_more_than_a_buffer() {
    Attacked::new().flooded_holds(BUFFERS, |_| goaway(reason::SHUTDOWN).body([b'x'; 1000]));
    Attacked::new().flooded_holds(BUFFERS, |n| response(2 * n + 3));
    Attacked::new().flooded_holds(BUFFERS, |_| one_way("never").body([0; 1000]));
}

#[test]
fn lengths_that_are_only_announced_take_nothing() {
    let long = |kind| {
        let mut header = Frame::new(kind, 2).encode();
        header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        header
    };
    let just_legal = |kind| {
        let mut header = Frame::new(kind, 2).encode();
        header[..4].copy_from_slice(&(128 * 1024u32).to_le_bytes());
        header
    };
    let attacked = Attacked::new();
    let mut peers = Vec::new();
    for kind in [
        kind::REQUEST,
        kind::DATA,
        kind::BIND,
        kind::GOAWAY,
        kind::PAD,
    ] {
        for header in [long(kind), just_legal(kind)] {
            peers.push((attacked.runtime.block_on(attacked.town.enemy()), header));
        }
    }
    attacked.holds(BUFFERS, async |_| {
        for (peer, header) in &mut peers {
            peer.try_write(header).await;
        }
    });
    drop(peers);
    attacked.ends_well();

    let messages: Vec<u8> = (1..=4000)
        .flat_map(|n| request(2 * n, "echo").of_total(64 << 20).body("x").encode())
        .collect();
    let attacked = Attacked::new();
    let mut peer = attacked.runtime.block_on(attacked.town.enemy());
    attacked.holds(BUFFERS + 4000 * 512, async |_| {
        flood_with(&mut peer, &messages).await
    });
    drop(peer);
    attacked.ends_well();
}

#[test]
fn a_length_that_a_compressed_body_cannot_have_takes_nothing() {
    let mut body = vec![compression::LZ4];
    body.extend((60u32 << 20).to_le_bytes());
    body.extend([0; 1000]);
    Attacked::new().flooded_holds(BUFFERS + 2 * MIB, |n| {
        request(2 * n + 2, "echo")
            .flags(flag::COMPRESSED)
            .body(&body)
    });
}

#[test]
fn messages_that_are_never_whole_take_no_more_than_max_assembly() {
    let chunk = vec![0; 100_000];
    let messages: Vec<u8> = (1..=60)
        .flat_map(|n| {
            request(2 * n, "echo")
                .of_total(total::UNKNOWN)
                .body(&chunk)
                .encode()
        })
        .collect();
    let attacked = Attacked::new();
    let mut peer = attacked.runtime.block_on(attacked.town.enemy());
    let most = BUFFERS + 2 * MAX_ASSEMBLY as u64;
    attacked.holds(most, async |_| flood_with(&mut peer, &messages).await);
    drop(peer);
    attacked.ends_well();
}

#[test]
fn names_of_messages_that_are_never_whole_take_no_more_than_max_assembly() {
    let named = |n| {
        let message = request(n, "echo").of_total(total::UNKNOWN);
        (0..256).fold(message, |message, _| message.named("x", ""))
    };
    let messages: Vec<u8> = (1..=4000).flat_map(|n| named(2 * n).encode()).collect();
    let attacked = Attacked::new();
    let mut peer = attacked.runtime.block_on(attacked.town.enemy());
    // Those that are refused are ids whose bytes are thrown away.
    let most = BUFFERS + 2 * MAX_ASSEMBLY as u64 + 4000 * 100;
    attacked.holds(most, async |_| flood_with(&mut peer, &messages).await);
    drop(peer);
    attacked.ends_well();
}

#[test]
fn messages_of_many_that_are_never_whole_take_no_more_than_the_budget() {
    let chunk = vec![0; 100_000];
    let messages: Vec<u8> = (1..=60)
        .flat_map(|n| {
            request(2 * n, "echo")
                .of_total(200_000)
                .body(&chunk)
                .encode()
        })
        .collect();
    let attacked = Attacked::new();
    let mut peers = attacked.runtime.block_on(async {
        let mut peers = Vec::new();
        for _ in 0..40 {
            peers.push(attacked.town.enemy().await);
        }
        peers
    });
    let most = 40 * 128 * KIB + 2 * BUDGET as u64;
    attacked.holds(most, async |_| {
        // In no time: others that send long messages meanwhile would be refused, too.
        for peer in &mut peers {
            peer.try_write(&messages).await;
        }
    });
    drop(peers);
    attacked.ends_well();
}

#[test]
fn answers_that_are_refused_and_never_end_take_little_and_not_for_long() {
    let flood: Vec<u8> = (1..=65_000)
        .flat_map(|n| response(2 * n + 1).of_total(64 << 20 | 1).encode())
        .collect();
    let attacked = Attacked::new();
    let mut peer = attacked.runtime.block_on(attacked.town.enemy());
    attacked.holds(BUFFERS + REFUSED, async |_| {
        flood_with(&mut peer, &flood).await
    });
    attacked.runtime.block_on(async {
        assert_eq!(attacked.town.handle.peers().len(), 2);
        tokio::time::sleep(Duration::from_secs(31)).await;
        let text = peer.expect_goaway(reason::TIMEOUT).await;
        assert!(text.contains("unfinished message"), "{text}");
    });
    attacked.ends_well();
}

#[test]
fn a_server_that_floods_its_client_takes_no_more_than_a_buffer_and_what_is_refused() {
    type Flood = fn(u32) -> Frame;
    let floods: [(Flood, u64); 4] = [
        (|n| response(2 * n + 4).body([0; 1000]), 0),
        (
            |n| response(2 * n + 4).of_total(64 << 20).body("x"),
            REFUSED,
        ),
        (
            |n| request(2 * n + 3, "echo").of_total(64 << 20).body("x"),
            REFUSED,
        ),
        (|_| data(9, b"?"), 0),
    ];
    for (frame, refused) in floods {
        let attacked = Attacked::new();
        let flood: Vec<u8> = (0..).flat_map(|n| frame(n).encode()).take(MUCH).collect();
        attacked.holds(BUFFERS + refused, async |_| {
            let (mut channel, mut server) = dial_with(Options::new(), Native::default(), 10_000);
            server.shake_hands().await;
            let _answer = channel.call(call("echo", "x"));
            flood_with(&mut server, &flood).await;
        });
        attacked.ends_well();
    }
}
