//! Whatever is asked of the library in whatever order, what it writes keeps the rules of ids, chunks and answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fastrand::Rng;
use steeple::{
    Kind, Options,
    wire::{
        native::Native,
        numbers::{flag, kind, reason, status},
    },
};
use tokio::{task::JoinSet, time::sleep};
use tower::Service;

use crate::support::{
    Frame, Probe, RawPeer, call, cancel, data, dial_with, goaway, request, response, serve_with,
    soon,
};

/// A request that a played server has seen begin.
#[derive(Debug, Default)]
struct Begun {
    body: Vec<u8>,
    total: usize,
    /// No more of it comes.
    over: bool,
    cancelled: bool,
    answered: bool,
}

/// A played server that checks every frame and answers as it likes.
struct Judge {
    peer: RawPeer,
    rng: Rng,
    begun: BTreeMap<u32, Begun>,
    /// Ids that were answered once, of which a CANCEL may still be on its way.
    past: BTreeSet<u32>,
    calls: usize,
    farewell: bool,
}

impl Judge {
    /// Checks a frame and takes note of it.
    async fn take(&mut self, frame: Frame) {
        let id = frame.id;
        match frame.kind {
            kind::REQUEST => {
                assert!(!self.begun.contains_key(&id), "id {id} is in use");
                assert!(!self.farewell, "a request after the goodbye");
                self.calls += 1;
                self.past.remove(&id);
                let total = frame.total.map_or(frame.body.len(), |total| total as usize);
                let begun = Begun {
                    over: frame.total.is_none(),
                    total,
                    body: frame.body,
                    ..Begun::default()
                };
                self.begun.insert(id, begun);
            }
            kind::DATA => {
                let begun = self.begun.get_mut(&id).expect("DATA of nothing");
                assert!(!begun.over, "DATA after the end");
                begun.body.extend(frame.body);
                begun.over = frame.flags & flag::END != 0;
                assert!(begun.body.len() <= begun.total);
                assert!(!begun.over || begun.body.len() == begun.total);
            }
            kind::CANCEL => match self.begun.get_mut(&id) {
                Some(begun) => {
                    assert!(!begun.cancelled, "a second CANCEL of {id}");
                    (begun.cancelled, begun.over) = (true, true);
                }
                None => assert!(self.past.contains(&id), "a CANCEL of nothing: {id}"),
            },
            kind::GOAWAY => {
                assert_eq!(frame.code, reason::SHUTDOWN);
                self.farewell = true;
                self.peer.send(goaway(reason::ACK)).await;
            }
            kind::PING => self.peer.send(crate::support::pong(frame.aux)).await,
            _ => panic!("{frame:?}"),
        }
        self.forget();
    }

    /// Ids that are free again.
    fn forget(&mut self) {
        let past = &mut self.past;
        self.begun.retain(|id, begun| {
            let kept = !(begun.answered && begun.over);
            if !kept {
                past.insert(*id);
            }
            kept
        });
    }

    /// Answers some request: most often one that is whole, with its body.
    async fn answer(&mut self) {
        let owed: Vec<u32> = self
            .begun
            .iter()
            .filter(|(_, begun)| !begun.answered)
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = self.rng.choice(owed) else {
            return;
        };
        let early = self.rng.u8(..) < 20;
        let begun = self.begun.get_mut(&id).unwrap();
        if !begun.over && !early {
            return;
        }
        begun.answered = true;
        let answer = match begun.over && !begun.cancelled {
            true => response(id).body(&begun.body[..begun.body.len().min(1000)]),
            false => response(id)
                .code(status::EXHAUSTED | status::NOT_PROCESSED)
                .body(b"\0\0"),
        };
        self.peer.send(answer).await;
        self.forget();
    }

    /// Plays until the connection ends.
    async fn play(mut self) -> usize {
        self.peer.shake_hands().await;
        loop {
            let wait = Duration::from_millis(self.rng.u64(0..3));
            match tokio::time::timeout(wait, self.peer.next()).await {
                Ok(Some(frame)) if [kind::BIND, kind::PAD].contains(&frame.kind) => {}
                Ok(Some(frame)) => self.take(frame).await,
                Ok(None) => break,
                Err(_) => {}
            }
            if self.rng.u8(..) < 150 {
                self.answer().await;
            }
        }
        assert!(
            self.begun.is_empty(),
            "{:?} were left without an answer",
            self.begun.keys()
        );
        self.calls
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_keeps_the_rules_whatever_its_callers_do() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let options = Options::new()
            .max_calls(rng.usize(1..40))
            .max_pending(rng.usize(1..100))
            .write_buffer(rng.usize(1..5000))
            .flatten_below(rng.usize(0..20_000))
            .flush_delay(Duration::from_millis(rng.u64(0..2)));
        let capacity = rng.usize(100..100_000);
        let (channel, peer) = dial_with(options, Native::default(), capacity);
        let judge = Judge {
            peer,
            rng: rng.fork(),
            begun: BTreeMap::new(),
            past: BTreeSet::new(),
            calls: 0,
            farewell: false,
        };
        let judge = tokio::spawn(judge.play());
        let mut callers = JoinSet::new();
        for caller in 0..30u8 {
            let (mut channel, mut rng) = (channel.clone(), rng.fork());
            callers.spawn(async move {
                for _ in 0..20 {
                    let len = match rng.u8(0..20) {
                        0 => rng.usize(65_537..300_000),
                        1..4 => rng.usize(0..30_000),
                        _ => rng.usize(0..100),
                    };
                    let body = vec![caller; len];
                    let mut request = call("echo", body.clone());
                    if rng.bool() {
                        let timeout = Duration::from_millis(rng.u64(1..50));
                        request.cx_mut().set_timeout(timeout);
                    }
                    let answer = channel.call(request);
                    match rng.u8(0..10) {
                        0 => drop(answer),
                        1 => answer.detach(),
                        2 => {
                            let patience = Duration::from_millis(rng.u64(0..20));
                            let _ = tokio::time::timeout(patience, answer).await;
                        }
                        _ => match answer.await {
                            Ok(answer) => {
                                let whole = &body[..len.min(1000)];
                                assert_eq!(answer.body().as_bytes(), whole);
                            }
                            Err(error) => assert!(
                                matches!(error.kind(), Kind::Timeout | Kind::Overflow),
                                "{error:?}"
                            ),
                        },
                    }
                    if rng.bool() {
                        sleep(Duration::from_millis(rng.u64(0..5))).await;
                    }
                }
            });
        }
        while let Some(caller) = soon(callers.join_next()).await {
            caller.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        soon(channel.drain()).await;
        let calls = soon(judge).await;
        let calls = calls.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let stats = channel.stats();
        assert!(
            calls > 0 && calls as u64 <= stats.calls.total(),
            "seed {seed}"
        );
        assert_eq!(stats.calls.total(), 600, "seed {seed}: {stats:?}");
        assert_eq!((stats.in_flight, stats.pending), (0, 0), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_gives_every_request_one_answer_whatever_its_client_does() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let options = Options::new()
            .max_handlers(rng.usize(1..20))
            .max_waiting(rng.usize(0..50), 1 << 20)
            .max_unsent(rng.usize(0..100_000))
            .flush_delay(Duration::from_millis(rng.u64(0..2)));
        let probe = Probe::default();
        let capacity = rng.usize(1000..100_000);
        let (mut client, server) =
            serve_with(options, Native::default(), capacity, probe.service());
        client.shake_hands().await;
        let mut owed = BTreeSet::new();
        // The ids whose answers come in chunks, and what is left of them.
        let mut chunks: BTreeMap<u32, usize> = BTreeMap::new();
        let mut asked = 0;
        while asked < 400 || !owed.is_empty() || !chunks.is_empty() {
            let id = 2 * rng.u32(1..100);
            if asked < 400 && !owed.contains(&id) && !chunks.contains_key(&id) {
                asked += 1;
                owed.insert(id);
                let frame = match rng.u8(0..10) {
                    0 => request(id, "sleep").body("20").aux(rng.u32(1..30_000)),
                    1 => request(id, "sleep").body(rng.u8(0..10).to_string()),
                    2 => request(id, "big").body(rng.u32(60_000..200_000).to_string()),
                    3 => request(id, "panic later"),
                    4 => request(id, "no such"),
                    5 => request(id, "echo").of_total(5000).body([1; 2000]),
                    _ => request(id, "echo").body([1; 50]),
                };
                let split = frame.total.is_some();
                client.send(frame).await;
                if split && rng.bool() {
                    client.send(data(id, &[1; 3000]).end()).await;
                } else if split || rng.u8(0..10) == 0 {
                    client.send(cancel(id, reason::DROPPED)).await;
                }
            }
            let wait = Duration::from_millis(if asked < 400 { rng.u64(0..2) } else { 1000 });
            while let Ok(frame) = tokio::time::timeout(wait, client.message()).await {
                let left = match frame.kind {
                    kind::RESPONSE => {
                        assert!(owed.remove(&frame.id), "seed {seed}: {frame:?}");
                        let total = frame.total.map(|total| total as usize);
                        total.map_or(0, |total| total - frame.body.len())
                    }
                    kind::DATA => {
                        let left = chunks.remove(&frame.id).unwrap() - frame.body.len();
                        assert_eq!(left == 0, frame.flags & flag::END != 0);
                        left
                    }
                    _ => panic!("seed {seed}: {frame:?}, owed {owed:?}, {chunks:?}"),
                };
                if left > 0 {
                    chunks.insert(frame.id, left);
                }
                if asked == 400 && owed.is_empty() && chunks.is_empty() || rng.u8(0..4) == 0 {
                    break;
                }
            }
        }
        let stats = server.stats();
        assert_eq!(
            (stats.served.total(), stats.handling),
            (400, 0),
            "seed {seed}: {stats:?}"
        );
        client.shutdown().await;
        server.ended().await.unwrap();
    }
}
