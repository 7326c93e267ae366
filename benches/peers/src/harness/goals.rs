//! The goals, most of them ratios within one run, and whether a run meets them.

use std::fmt;

use super::entrant::Entrant::{self, Peer, Stack};
use super::report::{Figures, Report};
use crate::cli::Cli;
use crate::peers::Subject::{self, Bare, Raw, Std, Steeple, Tarpc, Tonic};

/// One figure, alone, over another or above another, and what it has to be.
#[derive(Clone, Copy, Debug)]
struct Goal {
    what: Point,
    over: Option<Point>,
    bound: Bound,
}

/// One entrant's median on one workload.
#[derive(Clone, Copy, Debug)]
struct Point {
    who: Entrant,
    workload: &'static str,
    figure: Figure,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// Calls per second.
    Rate,
    P50,
    P99,
    /// CPU time per call of both sides, in microseconds.
    Cpu,
    /// Allocations per call of both sides.
    Allocations,
    ClientWrites,
    ServerWrites,
    ClientSyscalls,
    ServerSyscalls,
    /// What only this workload has.
    Extra(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// So much more than the other figure, and not so many times as much.
    Above(f64),
}

use Bound::{Above, AtLeast, AtMost};
use Figure::{
    Allocations, ClientSyscalls, ClientWrites, Cpu, Extra, P50, P99, Rate, ServerSyscalls,
    ServerWrites,
};

/// Allocations per call that are none: a buffer may grow now and then.
const ROUNDS_TO_NONE: f64 = 0.005;

const GOALS: &[Goal] = &[
    // The harness itself: the multiplexer reaches what the sockets can do, and is far from the peers.
    rate("B", Raw, Std, 0.95),
    rate("C", Raw, Tarpc, 3.0),
    // The paved road against the bare multiplexer.
    ratio("A", P50, Steeple, Raw, AtMost(1.05)),
    rate("B", Steeple, Raw, 0.8),
    rate("C", Steeple, Raw, 0.6),
    rate("D", Steeple, Raw, 0.45),
    rate("E", Steeple, Raw, 0.75),
    rate("F", Steeple, Raw, 0.8),
    rate("G", Steeple, Raw, 1.2),
    rate("H", Steeple, Raw, 1.2),
    ratio(
        "N",
        Extra("p999_us_at_four_fifths"),
        Steeple,
        Raw,
        AtMost(1.5),
    ),
    // The paved road against tarpc.
    ratio("A", P50, Steeple, Tarpc, AtMost(0.5)),
    rate("B", Steeple, Tarpc, 4.7),
    rate("C", Steeple, Tarpc, 9.0),
    rate("D", Steeple, Tarpc, 10.0),
    rate("E", Steeple, Tarpc, 6.0),
    rate("F", Steeple, Tarpc, 4.5),
    rate("G", Steeple, Tarpc, 1.9),
    rate("H", Steeple, Tarpc, 1.7),
    ratio("B", Cpu, Steeple, Tarpc, AtMost(0.16)),
    // The paved road against tonic.
    ratio("A", P50, Steeple, Tonic, AtMost(0.35)),
    rate("B", Steeple, Tonic, 12.0),
    rate("C", Steeple, Tonic, 23.0),
    rate("D", Steeple, Tonic, 45.0),
    rate("E", Steeple, Tonic, 22.0),
    rate("F", Steeple, Tonic, 15.0),
    rate("G", Steeple, Tonic, 2.4),
    rate("H", Steeple, Tonic, 2.5),
    // What a call of the paved road may cost where it can be counted.
    alone("B", ClientWrites, Steeple, AtMost(0.03)),
    alone("B", ServerWrites, Steeple, AtMost(0.03)),
    alone("B", ClientSyscalls, Steeple, AtMost(0.15)),
    alone("B", ServerSyscalls, Steeple, AtMost(0.08)),
    alone("B", Allocations, Steeple, AtMost(3.0)),
    alone("I", Extra("server_kib_each"), Steeple, AtMost(6.0)),
    // The paved road against itself: beside a transfer, without answers, and in batches.
    within(
        at("J", P99, Steeple),
        at("J", Extra("p99_us_alone"), Steeple),
        AtMost(3.0),
    ),
    within(at("K", Rate, Steeple), at("B", Rate, Steeple), AtLeast(2.0)),
    within(at("P", Rate, Steeple), at("D", Rate, Raw), AtLeast(1.0)),
    as_cheap_as_d("S.2x50000", Steeple),
    as_cheap_as_d("S.16x1024", Steeple),
    adds("steeple client", 250.0),
    adds("steeple client, one replica", 250.0),
    no_allocations("steeple log"),
    no_allocations("steeple timeout"),
    no_allocations("steeple timeout, kept below"),
    no_allocations("steeple retry"),
    no_allocations("steeple balance"),
    no_allocations("steeple client"),
    no_allocations("steeple client, one replica"),
    no_allocations("steeple server"),
    // What TLS and compression may cost, and what they have to save.
    within(
        at("B.tls", Rate, Steeple),
        at("B", Rate, Steeple),
        AtLeast(0.6),
    ),
    within(at("B.tls", Rate, Bare), at("B", Rate, Bare), AtLeast(0.6)),
    alone("I.tls", Extra("server_kib_each"), Bare, AtMost(40.0)),
    alone("I.zstd", Extra("server_kib_each"), Bare, AtMost(200.0)),
    alone("I.deflate", Extra("server_kib_each"), Bare, AtMost(200.0)),
    saves("R.json-zstd", "R.json", AtMost(0.25)),
    saves("R.json-zstd", "R.json-zstd", AtMost(1.0)),
    // What the connection alone may cost.
    ratio("A", P50, Bare, Raw, AtMost(1.03)),
    rate("B", Bare, Raw, 0.95),
    rate("C", Bare, Raw, 0.85),
    rate("D", Bare, Raw, 0.8),
    rate("E", Bare, Raw, 0.9),
    rate("F", Bare, Raw, 0.95),
    rate("G", Bare, Raw, 1.3),
    rate("H", Bare, Raw, 1.3),
    alone("B", ClientWrites, Bare, AtMost(0.03)),
    alone("B", ServerWrites, Bare, AtMost(0.03)),
    alone("B", ClientSyscalls, Bare, AtMost(0.15)),
    alone("B", ServerSyscalls, Bare, AtMost(0.08)),
    alone("B", Allocations, Bare, AtMost(2.1)),
    alone("I", Extra("server_kib_each"), Bare, AtMost(6.0)),
    within(
        at("J", P99, Bare),
        at("J", Extra("p99_us_alone"), Bare),
        AtMost(3.0),
    ),
    within(at("K", Rate, Bare), at("B", Rate, Bare), AtLeast(2.0)),
    within(at("P", Rate, Bare), at("D", Rate, Raw), AtLeast(1.0)),
    as_cheap_as_d("S.2x50000", Bare),
    as_cheap_as_d("S.16x1024", Bare),
];

/// Bytes on the wire of `bare`, over those of tonic.
const fn saves(workload: &'static str, of_tonic: &'static str, bound: Bound) -> Goal {
    let bytes = Extra("wire_bytes");
    within(at(workload, bytes, Bare), at(of_tonic, bytes, Tonic), bound)
}

const fn at(workload: &'static str, figure: Figure, peer: Subject) -> Point {
    Point {
        who: Peer(peer),
        workload,
        figure,
    }
}

/// The CPU time, in nanoseconds, that a stack of layers adds to a call of the endpoint below it.
const fn adds(stack: &'static str, nanos: f64) -> Goal {
    within(cost_of(stack), cost_of("endpoint"), Above(nanos))
}

const fn cost_of(stack: &'static str) -> Point {
    Point {
        who: Stack(stack),
        workload: "M",
        figure: Extra("cpu_ns_per_call"),
    }
}

/// Calls through the layers of a stack are no dearer for the allocator than calls without.
const fn no_allocations(stack: &'static str) -> Goal {
    Goal {
        what: Point {
            who: Stack(stack),
            workload: "M",
            figure: Allocations,
        },
        over: None,
        bound: AtMost(ROUNDS_TO_NONE),
    }
}

/// CPU time per call with more callers, over that of D: it rises by half at most.
const fn as_cheap_as_d(workload: &'static str, peer: Subject) -> Goal {
    within(at(workload, Cpu, peer), at("D", Cpu, peer), AtMost(1.5))
}

/// A figure as it is.
const fn alone(workload: &'static str, figure: Figure, peer: Subject, bound: Bound) -> Goal {
    Goal {
        what: at(workload, figure, peer),
        over: None,
        bound,
    }
}

/// A figure over another of the same run.
const fn within(what: Point, over: Point, bound: Bound) -> Goal {
    Goal {
        what,
        over: Some(over),
        bound,
    }
}

/// A figure of one peer over that of another.
const fn ratio(
    workload: &'static str,
    figure: Figure,
    peer: Subject,
    over: Subject,
    bound: Bound,
) -> Goal {
    within(
        at(workload, figure, peer),
        at(workload, figure, over),
        bound,
    )
}

const fn rate(workload: &'static str, peer: Subject, over: Subject, bound: f64) -> Goal {
    ratio(workload, Rate, peer, over, AtLeast(bound))
}

/// Prints every goal whose workloads and peers were asked for, and says whether there are any and all are met. A
/// figure that is missing misses its goal: a check that cannot fail proves nothing.
pub(super) fn check(cli: &Cli, report: &Report) -> bool {
    let workloads: Vec<_> = cli.workloads().iter().map(|asked| asked.name()).collect();
    let asked = |point: &Point| {
        let who = match point.who {
            Peer(peer) => cli.peers.contains(&peer),
            Entrant::Setting(_) | Stack(_) => true,
        };
        who && workloads.iter().any(|name| name == point.workload)
    };
    let goals: Vec<_> = GOALS
        .iter()
        .filter(|goal| asked(&goal.what) && goal.over.as_ref().is_none_or(asked))
        .collect();
    if goals.is_empty() {
        println!("MISSED: no goal is about these peers and workloads");
    }
    let missed = goals.iter().filter(|goal| !goal.holds(report)).count();
    missed == 0 && !goals.is_empty()
}

impl Goal {
    fn holds(&self, report: &Report) -> bool {
        let value = self.value(report);
        let met = value.is_some_and(|value| self.bound.admits(value));
        let verdict = if met { "met   " } else { "MISSED" };
        let value = value.map_or_else(|| "no figure".to_owned(), |value| format!("{value:.3}"));
        let over = self
            .over
            .map(|over| match self.bound {
                Above(_) => format!(" − {over}"),
                AtLeast(_) | AtMost(_) => format!(" ÷ {over}"),
            })
            .unwrap_or_default();
        println!("{verdict} {}{over}: {value} ({})", self.what, self.bound);
        met
    }

    fn value(&self, report: &Report) -> Option<f64> {
        let value = self.what.median(report)?;
        let Some(over) = self.over else {
            return Some(value);
        };
        let over = over.median(report)?;
        Some(match self.bound {
            Above(_) => value - over,
            AtLeast(_) | AtMost(_) => value / over,
        })
    }
}

impl Point {
    fn median(self, report: &Report) -> Option<f64> {
        let figure = |figures: &Figures| self.figure.of(figures);
        Some(
            report
                .spread(self.who.name(), self.workload, figure)?
                .median,
        )
    }
}

impl Figure {
    fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Rate => figures.calls_per_s,
            P50 => figures.p50_us,
            P99 => figures.p99_us,
            Cpu => figures.cpu_us_per_call,
            Allocations => figures.allocs_per_call,
            ClientWrites => figures.client_writes_per_call,
            ServerWrites => figures.server_writes_per_call,
            ClientSyscalls => figures.client_syscalls_per_call,
            ServerSyscalls => figures.server_syscalls_per_call,
            Extra(name) => figures.extra.get(name).copied(),
        }
    }
}

impl Bound {
    fn admits(self, value: f64) -> bool {
        match self {
            AtLeast(bound) => value >= bound,
            AtMost(bound) | Above(bound) => value <= bound,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.workload, self.who.name(), self.figure)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rate => "calls/s",
            P50 => "p50",
            P99 => "p99",
            Cpu => "CPU per call",
            Allocations => "allocations per call",
            ClientWrites => "client writes per call",
            ServerWrites => "server writes per call",
            ClientSyscalls => "client system calls per call",
            ServerSyscalls => "server system calls per call",
            Extra(name) => name,
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtLeast(bound) => write!(f, "≥ {bound}"),
            AtMost(bound) | Above(bound) => write!(f, "≤ {bound}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::harness::report::Row;
    use crate::load::stack;
    use crate::workload::Choice;

    /// A run in which peers had these call rates.
    fn report(rates: &[(&str, Subject, f64)]) -> Report {
        let rows = rates.iter().map(|&(name, peer, calls_per_s)| {
            let Choice(workloads) = name.parse().unwrap();
            let mut row = Row::new(peer.name(), &workloads[0], 0);
            row.figures.calls_per_s = Some(calls_per_s);
            row
        });
        Report {
            machine: Value::Null,
            rows: rows.collect(),
        }
    }

    #[test]
    fn a_rate_meets_its_goal_from_the_bound_up() {
        let goal = rate("B", Raw, Std, 0.95);
        assert!(goal.holds(&report(&[("B", Raw, 95.0), ("B", Std, 100.0)])));
        assert!(!goal.holds(&report(&[("B", Raw, 94.0), ("B", Std, 100.0)])));
    }

    #[test]
    fn what_is_to_be_small_meets_its_goal_up_to_the_bound() {
        assert!(AtMost(1.05).admits(1.05));
        assert!(!AtMost(1.05).admits(1.06));
    }

    #[test]
    fn a_goal_may_lie_between_two_workloads() {
        let goal = within(at("K", Rate, Bare), at("B", Rate, Bare), AtLeast(2.0));
        assert!(goal.holds(&report(&[("K", Bare, 200.0), ("B", Bare, 100.0)])));
        assert!(!goal.holds(&report(&[("K", Bare, 100.0), ("B", Bare, 200.0)])));
    }

    #[test]
    fn what_a_figure_may_add_to_another_is_their_difference() {
        let goal = within(at("K", Rate, Bare), at("B", Rate, Bare), Above(50.0));
        assert!(goal.holds(&report(&[("K", Bare, 150.0), ("B", Bare, 100.0)])));
        assert!(!goal.holds(&report(&[("K", Bare, 151.0), ("B", Bare, 100.0)])));
    }

    #[test]
    fn a_goal_without_a_figure_is_missed() {
        let goal = rate("B", Steeple, Raw, 0.8);
        assert!(!goal.holds(&report(&[("B", Raw, 95.0)])));
        assert!(!alone("B", Cpu, Raw, AtMost(1.0)).holds(&report(&[("B", Raw, 95.0)])));
    }

    #[test]
    fn every_goal_is_about_a_workload_and_a_stack_that_exist() {
        for goal in GOALS {
            for point in [Some(goal.what), goal.over].into_iter().flatten() {
                assert!(point.workload.parse::<Choice>().is_ok(), "{point}");
                if let Stack(name) = point.who {
                    assert!(stack::names().any(|known| known == name), "{point}");
                }
            }
        }
    }
}
