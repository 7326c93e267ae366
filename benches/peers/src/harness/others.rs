//! What else the machine was busy with. A measurement beside a compiler says little, and should say so itself.

use std::fs;

/// The kernel's unit in `/proc/stat`, which has been the same on every platform for decades.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds that all CPUs of the machine have been busy, or were taken by the host, since it started.
pub(super) fn busy_seconds() -> Option<f64> {
    parse(&fs::read_to_string("/proc/stat").ok()?)
}

/// Reads `cpu user nice system idle iowait irq softirq steal …`.
fn parse(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line
        .split_whitespace()
        .map_while(|tick| tick.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else {
        return None;
    };
    Some((user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_not_busy() {
        assert_eq!(
            parse("cpu  100 20 30 9999 888 1 2 3 0 0\ncpu0 1 2"),
            Some(1.56)
        );
        assert_eq!(parse("intr 1 2 3"), None);
    }
}
