//! The goals, as ratios within one run, and whether a run meets them.

use super::report::{Figures, Report};
use crate::cli::Cli;
use crate::peers::Subject::{self, Bare, Raw, Std, Steeple, Tarpc, Tonic};

/// What a goal compares.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// Calls per second, where more is better.
    Rate,
    /// Median latency, where less is better.
    P50,
}

/// One peer's figure over another's.
#[derive(Clone, Copy, Debug)]
struct Goal {
    workload: char,
    subject: Subject,
    figure: Figure,
    over: Subject,
    bound: f64,
}

const fn rate(workload: char, subject: Subject, over: Subject, bound: f64) -> Goal {
    Goal {
        workload,
        subject,
        figure: Figure::Rate,
        over,
        bound,
    }
}

const fn p50(workload: char, subject: Subject, over: Subject, bound: f64) -> Goal {
    Goal {
        workload,
        subject,
        figure: Figure::P50,
        over,
        bound,
    }
}

const GOALS: &[Goal] = &[
    // The harness itself: the multiplexer reaches what the sockets can do, and is far from the peers.
    rate('B', Raw, Std, 0.95),
    rate('C', Raw, Tarpc, 3.0),
    // The paved road against the bare multiplexer.
    p50('A', Steeple, Raw, 1.05),
    rate('B', Steeple, Raw, 0.8),
    rate('C', Steeple, Raw, 0.6),
    rate('D', Steeple, Raw, 0.45),
    rate('E', Steeple, Raw, 0.75),
    rate('F', Steeple, Raw, 0.8),
    rate('G', Steeple, Raw, 1.2),
    rate('H', Steeple, Raw, 1.2),
    // The paved road against tarpc.
    p50('A', Steeple, Tarpc, 0.5),
    rate('B', Steeple, Tarpc, 4.7),
    rate('C', Steeple, Tarpc, 9.0),
    rate('D', Steeple, Tarpc, 10.0),
    rate('E', Steeple, Tarpc, 6.0),
    rate('F', Steeple, Tarpc, 4.5),
    rate('G', Steeple, Tarpc, 1.9),
    rate('H', Steeple, Tarpc, 1.7),
    // The paved road against tonic.
    p50('A', Steeple, Tonic, 0.35),
    rate('B', Steeple, Tonic, 12.0),
    rate('C', Steeple, Tonic, 23.0),
    rate('D', Steeple, Tonic, 45.0),
    rate('E', Steeple, Tonic, 22.0),
    rate('F', Steeple, Tonic, 15.0),
    rate('G', Steeple, Tonic, 2.4),
    rate('H', Steeple, Tonic, 2.5),
    // What the connection alone may cost.
    p50('A', Bare, Raw, 1.03),
    rate('B', Bare, Raw, 0.95),
    rate('C', Bare, Raw, 0.85),
    rate('D', Bare, Raw, 0.8),
    rate('E', Bare, Raw, 0.9),
    rate('F', Bare, Raw, 0.95),
    rate('G', Bare, Raw, 1.3),
    rate('H', Bare, Raw, 1.3),
];

/// Prints every goal whose workload and peers were asked for, and says whether all are met. A figure that is
/// missing misses its goal: a check that cannot fail proves nothing.
pub(super) fn check(cli: &Cli, report: &Report) -> bool {
    let asked = |goal: &&Goal| {
        cli.workloads
            .iter()
            .any(|workload| workload.letter == goal.workload)
            && [goal.subject, goal.over]
                .iter()
                .all(|peer| cli.peers.contains(peer))
    };
    let missed = GOALS
        .iter()
        .filter(asked)
        .filter(|goal| !goal.holds(report))
        .count();
    missed == 0
}

impl Goal {
    fn holds(&self, report: &Report) -> bool {
        let median = |peer| {
            report
                .spread(peer, self.workload, |f| self.figure.of(f))
                .map(|s| s.median)
        };
        let ratio = median(self.subject)
            .zip(median(self.over))
            .map(|(subject, over)| subject / over);
        let met = ratio.is_some_and(|ratio| self.figure.meets(ratio, self.bound));
        let (verdict, sign) = (if met { "met   " } else { "MISSED" }, self.figure.sign());
        let ratio = ratio.map_or_else(|| "no figure".to_owned(), |ratio| format!("{ratio:.2}"));
        let (subject, over) = (self.subject.name(), self.over.name());
        println!(
            "{verdict} {} {subject} ÷ {over}: {ratio} ({sign} {})",
            self.workload, self.bound
        );
        met
    }
}

impl Figure {
    fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Rate => figures.calls_per_s,
            Self::P50 => figures.p50_us,
        }
    }

    fn meets(self, ratio: f64, bound: f64) -> bool {
        match self {
            Self::Rate => ratio >= bound,
            Self::P50 => ratio <= bound,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Rate => "≥",
            Self::P50 => "≤",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::harness::report::Row;

    fn report(rates: &[(Subject, f64)]) -> Report {
        let rows = rates.iter().map(|&(peer, calls_per_s)| {
            let mut row = Row::new(peer, "B".parse().unwrap(), 0);
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
        let goal = rate('B', Raw, Std, 0.95);
        assert!(goal.holds(&report(&[(Raw, 95.0), (Std, 100.0)])));
        assert!(!goal.holds(&report(&[(Raw, 94.0), (Std, 100.0)])));
    }

    #[test]
    fn a_latency_meets_its_goal_up_to_the_bound() {
        assert!(Figure::P50.meets(1.05, 1.05));
        assert!(!Figure::P50.meets(1.06, 1.05));
    }

    #[test]
    fn a_goal_without_a_figure_is_missed() {
        let goal = rate('B', Steeple, Raw, 0.8);
        assert!(!goal.holds(&report(&[(Raw, 95.0)])));
    }
}
