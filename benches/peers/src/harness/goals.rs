//! The goals, as ratios within one run, and whether a run meets them.

use super::report::{Figures, Report};
use crate::cli::Cli;
use crate::peers::Subject::{self, Raw, Std};

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

const GOALS: &[Goal] = &[rate('B', Raw, Std, 0.95)];

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
    GOALS
        .iter()
        .filter(asked)
        .fold(true, |met, goal| goal.holds(report) && met)
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
