//! What is told to `tracing`, as lines.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, OnceLock},
};

use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber, set_default},
};
use tracing_subscriber::fmt::format::FmtSpan;

/// While there is but one subscriber, `tracing` asks that of the thread that meets an event first whether anybody wants
/// it. In a test beside this one that is nobody, for good. With a second one it asks all.
static SECOND: OnceLock<Dispatch> = OnceLock::new();

/// Where the lines go.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// Collects what is told at `level` or above while the guard lives, and which spans begin.
pub(crate) fn listen(level: Level) -> (Lines, DefaultGuard) {
    SECOND.get_or_init(|| Dispatch::new(NoSubscriber::new()));
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_span_events(FmtSpan::NEW)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    (lines, set_default(subscriber))
}
