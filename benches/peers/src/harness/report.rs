//! The rows, as they are written to the JSON file, and medians over them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::peers::Subject;
use crate::workload::Workload;

/// A whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Value,
    pub(super) rows: Vec<Row>,
}

/// One peer on one workload in one round.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) peer: &'static str,
    pub(super) workload: char,
    pub(super) round: u32,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// What was measured; none where a figure cannot be had.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) calls_per_s: Option<f64>,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) p999_us: Option<f64>,
    /// Of client and server together.
    pub(super) cpu_us_per_call: Option<f64>,
    pub(super) client_writes_per_call: Option<f64>,
    pub(super) server_writes_per_call: Option<f64>,
    pub(super) client_syscalls_per_call: Option<f64>,
    pub(super) server_syscalls_per_call: Option<f64>,
    /// Of client and server together.
    pub(super) allocs_per_call: Option<f64>,
    pub(super) server_rss_kib: Option<f64>,
    /// How many CPUs others kept busy meanwhile, the harness and the kernel's own threads included.
    pub(super) others_cpus: Option<f64>,
    /// What only this workload has, by name.
    #[serde(flatten)]
    pub(super) extra: BTreeMap<&'static str, f64>,
}

/// A median and what it lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Row {
    /// A row without figures.
    pub(super) fn new(peer: Subject, workload: Workload, round: u32) -> Self {
        let figures = Figures::default();
        Self {
            peer: peer.name(),
            workload: workload.letter,
            round,
            figures,
        }
    }
}

impl Report {
    /// The names of what only this workload has.
    pub(super) fn extra(&self, workload: char) -> BTreeSet<&'static str> {
        let rows = self.rows.iter().filter(|row| row.workload == workload);
        rows.flat_map(|row| row.figures.extra.keys().copied())
            .collect()
    }

    /// How busy others were while this workload ran.
    pub(super) fn others_cpus(&self, workload: char) -> Option<Spread> {
        let rows = self.rows.iter().filter(|row| row.workload == workload);
        Spread::of(rows.filter_map(|row| row.figures.others_cpus).collect())
    }

    /// One figure of a peer over all rounds.
    pub(super) fn spread(
        &self,
        peer: Subject,
        workload: char,
        figure: impl Fn(&Figures) -> Option<f64>,
    ) -> Option<Spread> {
        let rounds = self
            .rows
            .iter()
            .filter(|row| row.peer == peer.name() && row.workload == workload);
        Spread::of(rounds.filter_map(|row| figure(&row.figures)).collect())
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self {
            median: f64::midpoint(low, high),
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(
            Spread::of(vec![4.0, 1.0, 2.0, 9.0]),
            Some(Spread {
                median: 3.0,
                min: 1.0,
                max: 9.0
            })
        );
        assert_eq!(Spread::of(vec![5.0]).map(|spread| spread.median), Some(5.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
