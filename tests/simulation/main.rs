//! Whole worlds, each made of one seed: a server, its clients, calls both ways, and a network between them that
//! is slow, torn, cut or dishonest. Whatever happens, each call ends once, and what its error says of the
//! handler is what the handler says of itself.
//!
//! `STEEPLE_SEEDS=100000` runs as many worlds as that; `STEEPLE_SEED=7` runs one and tells what happens in it.

mod caller;
mod census;
mod check;
mod climate;
mod gate;
mod ledger;
mod plan;
mod serve;
mod weather;
mod world;

use std::{
    cell::Cell,
    env,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook},
    process,
    sync::{
        Once,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

/// Worlds in a run of the tests, unless said otherwise.
const WORLDS: u64 = 1000;

/// How long a world may take, in real time: thousands of times what it needs.
const STUCK: Duration = Duration::from_secs(120);

thread_local! {
    /// Whether anything has panicked: a runtime swallows the panics of tasks that nobody joins.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

#[test]
fn every_call_ends_once_and_its_error_tells_the_truth_in_even_worlds() {
    worlds(0);
}

#[test]
fn every_call_ends_once_and_its_error_tells_the_truth_in_odd_worlds() {
    worlds(1);
}

#[test]
fn the_same_seed_makes_the_same_world_again_and_another_does_not() {
    for seed in 0..25 {
        let trace = run(seed);
        assert_eq!(run(seed), trace, "world {seed} is not the same again");
        assert_ne!(run(seed + 1), trace);
    }
}

/// Runs this half of the worlds.
fn worlds(half: u64) {
    if let Some(seed) = number("STEEPLE_SEED") {
        if half == 0 {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .without_time();
            tracing::subscriber::with_default(subscriber.finish(), || run(seed));
        }
        return;
    }
    let worlds = number("STEEPLE_SEEDS").unwrap_or(WORLDS);
    let alarm = alarm();
    let fails = |seed: &u64| {
        alarm.send(*seed).unwrap();
        catch_unwind(|| run(*seed)).is_err()
    };
    census::begin();
    let failed: Vec<_> = (half..worlds).step_by(2).filter(fails).collect();
    assert!(failed.is_empty(), "worlds {failed:?} failed");
    // Fewer may well lack something.
    if worlds >= WORLDS {
        census::assert_complete();
    }
}

/// Is told which world begins, and ends the process if none does for long: in a world that is busy for ever,
/// time stands still, so it has no timeout of its own.
fn alarm() -> Sender<u64> {
    let (sender, begins) = channel();
    thread::spawn(move || {
        let mut last = None;
        loop {
            match begins.recv_timeout(STUCK) {
                Ok(seed) => last = Some(seed),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    // Past the capture of the test's output, which is lost.
                    let _ = writeln!(io::stderr(), "world {last:?} does not end");
                    process::abort();
                }
            }
        }
    });
    sender
}

/// Runs one world; a number that stands for all that happened in it.
fn run(seed: u64) -> u64 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            PANICKED.set(true);
            hook(panic);
        }));
    });
    PANICKED.set(false);
    let result = catch_unwind(AssertUnwindSafe(|| world::run(seed)));
    if result.is_err() || PANICKED.get() {
        eprintln!("world {seed} failed; to see it again:");
        eprintln!("STEEPLE_SEED={seed} cargo test --test simulation -- --nocapture even");
    }
    let trace = result.unwrap_or_else(|panic| resume_unwind(panic));
    assert!(!PANICKED.get(), "a task panicked in world {seed}");
    trace
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number of worlds, or of one"))
}
