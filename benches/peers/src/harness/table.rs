//! The tables that a person reads.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::entrant::Entrant;
use super::machine;
use super::report::{Figures, Report, Row, Spread};
use crate::cli::Cli;
use crate::peers::Subject;
use crate::peers::settings::SETTINGS;
use crate::workload::{Shape, Workload};

/// Ratios are against this peer, and those of settings against the defaults.
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

const RATIO: &str = "÷ raw";

const COLUMNS: [&str; 11] = [
    "calls/s",
    "min – max",
    RATIO,
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "CPU µs/call",
    "writes/call c, s",
    "syscalls/call c, s",
    "allocs/call",
    "server RSS KiB",
];

/// An overview, and a table per letter: medians, with minimum and maximum of the call rate. Columns that nobody has a
/// figure for are left out.
pub(super) fn render(cli: &Cli, report: &Report) -> Vec<String> {
    let made = machine::summary(&report.machine);
    let workloads = cli.workloads();
    let letters = workloads.chunk_by(|one, next| one.letter == next.letter);
    let tables = letters.map(|variants| {
        let mut text = format!("### {}\n\n{}", variants[0], table(cli, report, variants));
        if let Some(Spread { median, max, .. }) = report.others_cpus(variants) {
            _ = write!(
                text,
                "\nOthers kept {median:.2} CPUs busy, at most {max:.2}. "
            );
        } else {
            text.push('\n');
        }
        text + &made + "\n"
    });
    let overview = overview(cli, report).map(|overview| format!("{overview}\n{made}\n"));
    overview.into_iter().chain(tables).collect()
}

/// The medians of all closed loops on one page, if there are several.
fn overview(cli: &Cli, report: &Report) -> Option<String> {
    let closed =
        |workload: &Workload| workload.shape == Shape::Closed && workload.variant.is_none();
    let workloads: Vec<_> = cli.workloads().into_iter().filter(closed).collect();
    if workloads.len() < 2 {
        return None;
    }
    let latency = |workload: &Workload| workload.pinned;
    let name = |workload: &Workload| match latency(workload) {
        true => format!("{}, p50 µs", workload.letter),
        false => workload.letter.to_string(),
    };
    let names: Vec<_> = workloads.iter().map(name).collect();
    let mut lines = vec![["peer".to_owned()].into_iter().chain(names).collect()];
    lines.extend(cli.peers.iter().map(|peer| {
        let cells = workloads.iter().map(|workload| {
            let figure = |figures: &Figures| match latency(workload) {
                true => figures.p50_us,
                false => figures.calls_per_s,
            };
            let show = if latency(workload) { tenths } else { scaled };
            let median = |peer: &str| Some(report.spread(peer, &workload.name(), figure)?.median);
            let value = median(peer.name())?;
            let raw = median(BASELINE.name());
            let ratio = raw.map(|raw| format!(" ({:.2})", value / raw));
            Some(show(value) + &ratio.unwrap_or_default())
        });
        let name = peer.name().to_owned();
        [name].into_iter().chain(cells.map(shown)).collect()
    }));
    let title = "### Overview: calls/s, and in brackets ÷ raw";
    Some(format!("{title}\n\n{}", markdown(&lines)))
}

/// All that is known of the variants of a letter.
fn table(cli: &Cli, report: &Report, variants: &[Workload]) -> String {
    let extra = report.extra(variants);
    let names = ["peer"].into_iter().chain(COLUMNS).chain(extra.clone());
    let named = |name: &str| match name {
        RATIO => format!("÷ {}", baseline(&variants[0])),
        _ => name.to_owned(),
    };
    let mut lines = vec![names.map(named).collect::<Vec<_>>()];
    for workload in variants {
        let entrants = Entrant::of(cli, workload).into_iter();
        lines.extend(entrants.map(|entrant| line(report, entrant, workload, &extra)));
    }
    let used: Vec<_> = (0..lines[0].len())
        .filter(|&column| lines[1..].iter().any(|line| line[column] != OPEN))
        .collect();
    let of_used = |line: &Vec<String>| used.iter().map(|&at| line[at].clone()).collect();
    markdown(&lines.iter().map(of_used).collect::<Vec<_>>())
}

/// The first line is the names of the columns.
fn markdown(lines: &[Vec<String>]) -> String {
    let line = |cells: &Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text: Vec<_> = lines.iter().map(line).collect();
    let columns = lines.first().map_or(0, Vec::len);
    text.insert(
        1,
        format!("|---{}|\n", "|--:".repeat(columns.saturating_sub(1))),
    );
    text.concat()
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
    let (calls, baseline) = (rate(peer), rate(baseline(workload)));
    let mut cells = vec![
        match workload.variant {
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

/// Whom the others are compared with.
fn baseline(workload: &Workload) -> &'static str {
    match workload.shape {
        Shape::Settings => SETTINGS[0].name,
        _ => BASELINE.name(),
    }
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
