//! How much a connection does before it lets others go first, on a stream that would let it go on for ever.

use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use steeple::{
    Body, Channel, Connector, Error, Options, Request, Response,
    conn::{Builder, Connection},
    wire::{Role, numbers::kind},
};
use tokio::sync::Semaphore;
use tokio_test::{assert_pending, task};
use tower::{Service, service_fn, util::BoxCloneSyncService};

use crate::{
    lesser::opening,
    scripted::Scripted,
    support::{Frame, Gate, Probe, call, request, serve, soon},
};

/// Frames that are read, or requests that waited and are started, before anything is written.
const FRAMES_PER_TURN: usize = 256;

/// Turns before others go first.
const TURNS_PER_POLL: usize = 16;

/// Writes before anything is read again.
const WRITES_PER_TURN: usize = 16;

/// Reads in one go of what is thrown away after the end.
const DISCARDS_PER_POLL: usize = 16;

/// Slices in one vectored write.
const SLICES_PER_WRITE: usize = 64;

type Server = Connection<Scripted, BoxCloneSyncService<Request, Response, Error>>;

/// The server's side of a stream, to be polled by hand.
fn server(io: Scripted, service: BoxCloneSyncService<Request, Response, Error>) -> Server {
    Builder::new(Role::Acceptor).build(io, service).1
}

/// The answers in what was written.
fn answers(written: &[u8]) -> usize {
    let mut rest = written.to_vec();
    let frames = std::iter::from_fn(|| Frame::decode(&mut rest));
    frames.filter(|it| it.kind == kind::RESPONSE).count()
}

/// A request that is answered in place, so that its id is free again at once.
fn small() -> Vec<u8> {
    request(2, "echo").encode()
}

/// Goes to the end of the runtime's queue. tokio's own would wait for the timers to be looked at.
async fn give_way() {
    let mut gone = false;
    poll_fn(|cx| match mem::replace(&mut gone, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_stops_sending_does_not_starve_other_tasks() {
    let probe = Probe::default();
    let io = Scripted::new(opening()).endless(small());
    tokio::spawn(server(io, probe.service()));
    let served = probe.clone();
    let other = tokio::spawn(async move {
        let mut most = 0;
        for _ in 0..20 {
            let before = served.started();
            give_way().await;
            most = most.max(served.started() - before);
        }
        most
    });
    let most = soon(other).await.unwrap();
    assert!(most > 0, "nothing was served");
    assert!(
        most <= TURNS_PER_POLL * FRAMES_PER_TURN,
        "{most} requests were served before another task had its turn"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_stops_sending_gets_its_answers_meanwhile() {
    let io = Scripted::new(opening()).endless(small());
    let seen = io.seen();
    let mut server = task::spawn(server(io, Probe::default().service()));
    assert_pending!(server.poll());
    assert!(server.is_woken(), "there is more to do");
    let seen = seen.lock().unwrap();
    // The first has the opening before it.
    for written in &seen.writes[1..] {
        assert!((1..=FRAMES_PER_TURN).contains(&answers(written)));
    }
    assert!(seen.writes.len() <= TURNS_PER_POLL);
}

#[tokio::test(start_paused = true)]
async fn requests_that_waited_are_started_in_portions() {
    const WAITING: usize = 6000;
    let mut input = opening();
    for n in 1..=WAITING as u32 {
        input.extend(request(2 * n, "echo").encode());
    }
    let io = Scripted::new(input);
    let seen = io.seen();
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let mut server = task::spawn(server(io, BoxCloneSyncService::new(gate.clone())));
    assert_pending!(server.poll());
    while server.is_woken() {
        assert_pending!(server.poll());
    }
    assert_eq!(probe.started(), 0);
    gate.open();
    seen.lock().unwrap().writes.clear();
    assert_pending!(server.poll());
    assert!(server.is_woken(), "there is more to do");
    assert!((1..=TURNS_PER_POLL * FRAMES_PER_TURN).contains(&probe.started()));
    while server.is_woken() {
        assert_pending!(server.poll());
    }
    assert_eq!(probe.started(), WAITING, "none is forgotten");
    for written in &seen.lock().unwrap().writes {
        assert!((1..=FRAMES_PER_TURN).contains(&answers(written)));
    }
}

#[tokio::test(start_paused = true)]
async fn reading_has_its_turn_while_a_stream_takes_little_at_a_time() {
    let large = request(2, "big").body("60000").encode();
    let io = Scripted::new([opening(), large].concat()).taking(10);
    let seen = io.seen();
    let mut server = task::spawn(server(io, Probe::default().service()));
    assert_pending!(server.poll());
    let seen = seen.lock().unwrap();
    assert_eq!(seen.writes_in_a_row, WRITES_PER_TURN);
    assert!(seen.reads >= TURNS_PER_POLL, "{} reads", seen.reads);
}

#[tokio::test(start_paused = true)]
async fn what_is_thrown_away_after_the_end_does_not_keep_the_thread() {
    let broken = Frame::new(7, 0).encode();
    let io = Scripted::new([opening(), broken].concat()).endless([0; 1000]);
    let seen = io.seen();
    let mut server = task::spawn(server(io, Probe::default().service()));
    let (mut polls, mut before) = (0, 0);
    while server.poll().is_pending() {
        assert!(server.is_woken());
        let reads = seen.lock().unwrap().reads;
        assert!(reads - before <= DISCARDS_PER_POLL + TURNS_PER_POLL);
        (polls, before) = (polls + 1, reads);
    }
    // 4 MiB in reads of 64 KiB.
    assert!((4..=64).contains(&polls), "{polls} polls");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_uses_up_the_cooperative_budget_stays_where_it_is() {
    let spawned = Arc::new(AtomicUsize::new(0));
    let count = spawned.clone();
    let options = Options::new().spawn_with(move |task| {
        count.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(task);
    });
    let free = Arc::new(Semaphore::new(1));
    let service = service_fn(move |request: Request| {
        let free = free.clone();
        async move {
            // Free, and yet pending for a task that has done much.
            let _permit = free.acquire().await.unwrap();
            Ok::<_, Error>(Response::new(request.into_body()))
        }
    });
    let (mut client, _server) = serve(options, service);
    client.shake_hands().await;
    client
        .send_all((1..=300).map(|n| request(2 * n, "m")))
        .await;
    for n in 1..=300 {
        client.expect_response(2 * n).await;
    }
    assert_eq!(spawned.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_spins_for_input_as_long_as_it_is_told_to_while_a_call_is_under_way() {
    const STEP: Duration = Duration::from_micros(100);
    for (spin, expected) in [(Duration::ZERO, 0), (10 * STEP, 10), (50 * STEP, 50)] {
        let io = Scripted::new(opening());
        let builder = Builder::new(Role::Dialer).options(Options::new().spin(spin));
        let (mut peer, connection) = builder.build(io, Probe::default().service());
        let mut connection = task::spawn(connection);
        assert_pending!(connection.poll());
        assert!(!connection.is_woken(), "it spins for nothing");
        let answer = peer.call(call("echo", "x"));
        let mut polls = 0;
        while connection.is_woken() {
            assert_pending!(connection.poll());
            polls += 1;
            tokio::time::advance(STEP).await;
        }
        // The first sends the call.
        assert_eq!(polls, 1 + expected);
        drop(answer);
    }
}

/// The addresses of the slices in the write of a call with this body.
async fn slices(options: Options, body: &Bytes) -> Vec<usize> {
    let io = Scripted::new(opening());
    let seen = io.seen();
    let mut channel: Channel = Connector::new().options(options).connect_io(io, None);
    soon(channel.handshaken()).await.unwrap();
    seen.lock().unwrap().slices.clear();
    let _answer = channel.call(Request::new("m", Body::from(body.clone())));
    tokio::task::yield_now().await;
    let mut seen = seen.lock().unwrap();
    assert_eq!(seen.slices.len(), 1, "all of it in one write");
    seen.slices.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_body_is_written_from_where_it_is_unless_it_is_shorter_than_flatten_below() {
    for (options, limit) in [
        (Options::new(), 8 * 1024),
        (Options::new().flatten_below(1000), 1000),
        (Options::new().flatten_below(1), 1),
    ] {
        let body = Bytes::from(vec![7; limit]);
        let at = body.as_ptr() as usize;
        assert!(
            slices(options.clone(), &body).await.contains(&at),
            "{limit}"
        );
        let shorter = body.slice(..limit - 1);
        assert!(!slices(options, &shorter).await.contains(&at), "{limit}");
    }
    let body = Bytes::from(vec![7; 60_000]);
    let copied = slices(Options::new().flatten_below(usize::MAX), &body).await;
    assert_eq!(copied.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vectored_write_has_a_bounded_number_of_slices() {
    let options = Options::new().flatten_below(1).read_buffer(1 << 20);
    let requests = (1..=200).flat_map(|n| request(2 * n, "echo").body("x").encode());
    let io = Scripted::new([opening(), requests.collect()].concat());
    let seen = io.seen();
    let builder = Builder::new(Role::Acceptor).options(options);
    let (_, connection) = builder.build(io, Probe::default().service());
    assert_pending!(task::spawn(connection).poll());
    let seen = seen.lock().unwrap();
    let most = seen.slices.iter().map(Vec::len).max();
    assert_eq!(most, Some(SLICES_PER_WRITE));
    assert_eq!(answers(&seen.writes.concat()[8..]), 200);
}
