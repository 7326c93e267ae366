//! The settings of a connection, one changed at a time: what each is worth, for the page on tuning.

use std::sync::OnceLock;
use std::time::Duration;

use steeple::Options;

use crate::cli::Runtime;

/// A setting that differs from the defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// The runtime of both processes, where that is what differs.
    pub(crate) runtime: Option<Runtime>,
    change: fn(Options) -> Options,
}

/// All of them, the defaults first. To measure another is a line here.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("defaults", |options| options),
    Setting {
        runtime: Some(Runtime::Current),
        ..setting("one thread", |options| options)
    },
    setting("flush_delay 1 ms", |options| {
        options.flush_delay(Duration::from_millis(1))
    }),
    setting("spin 50 µs", |options| {
        options.spin(Duration::from_micros(50))
    }),
    setting("flatten_below 1 KiB", |options| options.flatten_below(1024)),
    setting("flatten_below any size", |options| {
        options.flatten_below(usize::MAX)
    }),
    setting("read_buffer 16 KiB", |options| {
        options.read_buffer(16 * 1024)
    }),
    setting("read_buffer 256 KiB", |options| {
        options.read_buffer(256 * 1024)
    }),
    setting("write_buffer 64 KiB", |options| {
        options.write_buffer(64 * 1024)
    }),
];

const fn setting(name: &'static str, change: fn(Options) -> Options) -> Setting {
    Setting {
        name,
        runtime: None,
        change,
    }
}

/// What this process was told.
static CHOSEN: OnceLock<Setting> = OnceLock::new();

/// Has the connections of this process differ by the setting of this name. Unknown names are none.
pub(crate) fn choose(name: &str) {
    let known = SETTINGS.iter().find(|setting| setting.name == name);
    known.map(|setting| CHOSEN.set(*setting));
}

/// More calls than any workload has at once on a connection. With the default, 32 768, some of 50 000 callers would be
/// refused whenever all call before the connection's task has its turn.
const ROOM: usize = 65_536;

/// The options of the connections of this process.
pub(super) fn options() -> Options {
    let options = Options::new().max_pending(ROOM);
    match CHOSEN.get() {
        Some(setting) => (setting.change)(options),
        None => options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_name_of_its_own() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            let same = |other: &Setting| other.name == setting.name;
            assert_eq!(SETTINGS.iter().position(same), Some(at), "{setting:?}");
        }
    }
}
