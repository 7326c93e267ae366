//! The tables that a person reads.

use std::fmt::Write;

use super::report::{Figures, Report, Row, Spread};
use crate::cli::Cli;
use crate::peers::Subject;

/// Ratios are against this peer.
const BASELINE: Subject = Subject::Raw;
const OPEN: &str = "–";

/// One line while a run is going on.
pub(super) fn progress(row: &Row) -> String {
    let calls = row
        .figures
        .calls_per_s
        .map_or_else(|| OPEN.to_owned(), scaled);
    format!(
        "round {} {} {:<8} {calls:>8} calls/s",
        row.round + 1,
        row.workload,
        row.peer
    )
}

const COLUMNS: [&str; 12] = [
    "peer",
    "calls/s",
    "min – max",
    "÷ raw",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "CPU µs/call",
    "writes/call c, s",
    "syscalls/call c, s",
    "allocs/call",
    "server RSS KiB",
];

/// A table per workload: medians, with minimum and maximum of the call rate.
pub(super) fn render(cli: &Cli, report: &Report) -> String {
    let mut text = String::new();
    for workload in &cli.workloads {
        let extra = report.extra(workload.letter);
        let columns: Vec<_> = COLUMNS.into_iter().chain(extra.iter().copied()).collect();
        _ = writeln!(text, "\n### {workload}\n");
        _ = writeln!(text, "| {} |", columns.join(" | "));
        _ = writeln!(text, "|---{}|", "|--:".repeat(columns.len() - 1));
        for &peer in &cli.peers {
            let mut cells = vec![peer.name().to_owned()];
            cells.extend(line(report, peer, workload.letter));
            cells.extend(extra.iter().map(|name| {
                let figure = |figures: &Figures| figures.extra.get(name).copied();
                let spread = report.spread(peer, workload.letter, figure);
                spread.map_or_else(|| OPEN.to_owned(), |spread| tenths(spread.median))
            }));
            _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        if let Some(Spread { median, max, .. }) = report.others_cpus(workload.letter) {
            _ = writeln!(
                text,
                "\nOthers kept {median:.2} CPUs busy, at most {max:.2}."
            );
        }
    }
    text
}

fn line(report: &Report, peer: Subject, letter: char) -> [String; 11] {
    let spread = |figure: fn(&Figures) -> Option<f64>| report.spread(peer, letter, figure);
    let median = |figure, show: fn(f64) -> String| {
        spread(figure).map_or_else(|| OPEN.to_owned(), |spread: Spread| show(spread.median))
    };
    let pair = |client, server| format!("{}, {}", median(client, small), median(server, small));
    let calls = spread(|f| f.calls_per_s);
    let baseline = report.spread(BASELINE, letter, |f| f.calls_per_s);
    let shown = |text: Option<String>| text.unwrap_or_else(|| OPEN.to_owned());
    [
        shown(calls.map(|calls| scaled(calls.median))),
        shown(calls.map(|calls| format!("{} – {}", scaled(calls.min), scaled(calls.max)))),
        shown(
            calls
                .zip(baseline)
                .map(|(calls, raw)| format!("{:.2}", calls.median / raw.median)),
        ),
        median(|f| f.p50_us, tenths),
        median(|f| f.p99_us, tenths),
        median(|f| f.p999_us, tenths),
        median(|f| f.cpu_us_per_call, |value| format!("{value:.2}")),
        pair(|f| f.client_writes_per_call, |f| f.server_writes_per_call),
        pair(
            |f| f.client_syscalls_per_call,
            |f| f.server_syscalls_per_call,
        ),
        median(|f| f.allocs_per_call, |value| format!("{value:.2}")),
        median(|f| f.server_rss_kib, |value| format!("{value:.0}")),
    ]
}

/// Three digits and a unit.
fn scaled(value: f64) -> String {
    match value {
        10e6.. => format!("{:.1} M", value / 1e6),
        1e6.. => format!("{:.2} M", value / 1e6),
        10e3.. => format!("{:.0} k", value / 1e3),
        1e3.. => format!("{:.2} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

fn small(value: f64) -> String {
    format!("{value:.3}")
}
