//! The tables that a person reads.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::entrant::Entrant;
use super::report::{Figures, Report, Row, Spread};
use crate::cli::Cli;
use crate::peers::Subject;
use crate::workload::Workload;

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

const COLUMNS: [&str; 11] = [
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

/// A table per letter: medians, with minimum and maximum of the call rate. Columns that nobody has a figure for are
/// left out.
pub(super) fn render(cli: &Cli, report: &Report) -> String {
    let mut text = String::new();
    let workloads = cli.workloads();
    for variants in workloads.chunk_by(|one, next| one.letter == next.letter) {
        _ = writeln!(text, "\n### {}\n", variants[0]);
        let extra = report.extra(variants);
        let lines: Vec<_> = variants
            .iter()
            .flat_map(|workload| {
                let entrants = Entrant::of(cli, workload);
                entrants
                    .into_iter()
                    .map(|entrant| line(report, entrant, workload, &extra))
            })
            .collect();
        let names = ["peer"].into_iter().chain(COLUMNS).chain(extra);
        let (used, names): (Vec<_>, Vec<_>) = names
            .enumerate()
            .filter(|(column, _)| lines.iter().any(|line| line[*column] != OPEN))
            .unzip();
        _ = writeln!(text, "| {} |", names.join(" | "));
        _ = writeln!(
            text,
            "|---{}|",
            "|--:".repeat(names.len().saturating_sub(1))
        );
        for line in &lines {
            let cells: Vec<_> = used.iter().map(|column| line[*column].as_str()).collect();
            _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        if let Some(Spread { median, max, .. }) = report.others_cpus(variants) {
            _ = writeln!(
                text,
                "\nOthers kept {median:.2} CPUs busy, at most {max:.2}."
            );
        }
    }
    text
}

/// The cells of one line: who, `COLUMNS`, and what only this workload has.
fn line(
    report: &Report,
    entrant: Entrant,
    workload: &Workload,
    extra: &BTreeSet<&'static str>,
) -> Vec<String> {
    let (peer, name) = (entrant.name(), workload.name());
    let median = |figure: &dyn Fn(&Figures) -> Option<f64>, show: fn(f64) -> String| {
        let spread = report.spread(peer, &name, figure);
        shown(spread.map(|spread| show(spread.median)))
    };
    let pair = |client: fn(&Figures) -> Option<f64>, server: fn(&Figures) -> Option<f64>| match (
        median(&client, thousandths),
        median(&server, thousandths),
    ) {
        (client, server) if client == OPEN && server == OPEN => client,
        (client, server) => format!("{client}, {server}"),
    };
    let rate = |peer| report.spread(peer, &name, |figures| figures.calls_per_s);
    let (calls, baseline) = (rate(peer), rate(BASELINE.name()));
    let mut cells = vec![
        match workload.variant() {
            Some(variant) => format!("{peer}, {variant}"),
            None => peer.to_owned(),
        },
        shown(calls.map(|calls| scaled(calls.median))),
        shown(calls.map(|calls| format!("{} – {}", scaled(calls.min), scaled(calls.max)))),
        shown(
            calls
                .zip(baseline)
                .map(|(calls, raw)| hundredths(calls.median / raw.median)),
        ),
        median(&|f| f.p50_us, tenths),
        median(&|f| f.p99_us, tenths),
        median(&|f| f.p999_us, tenths),
        median(&|f| f.cpu_us_per_call, hundredths),
        pair(|f| f.client_writes_per_call, |f| f.server_writes_per_call),
        pair(
            |f| f.client_syscalls_per_call,
            |f| f.server_syscalls_per_call,
        ),
        median(&|f| f.allocs_per_call, hundredths),
        median(&|f| f.server_rss_kib, whole),
    ];
    let of_extra = |name: &&'static str| median(&|f| f.extra.get(name).copied(), tenths);
    cells.extend(extra.iter().map(of_extra));
    cells
}

fn shown(text: Option<String>) -> String {
    text.unwrap_or_else(|| OPEN.to_owned())
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

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}

fn thousandths(value: f64) -> String {
    format!("{value:.3}")
}
