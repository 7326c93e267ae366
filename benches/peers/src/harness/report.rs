//! The rows, as they are written to the JSON file, and medians over them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::workload::Workload;

/// A whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Value,
    pub(super) rows: Vec<Row>,
}

/// One peer, or one stack of layers, on one workload in one round.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) peer: &'static str,
    /// A letter, and behind a dot its variant.
    pub(super) workload: String,
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
    pub(super) fn new(peer: &'static str, workload: &Workload, round: u32) -> Self {
        Self {
            peer,
            workload: workload.name(),
            round,
            figures: Figures::default(),
        }
    }
}

impl Report {
    /// The names of what only these workloads have.
    pub(super) fn extra(&self, workloads: &[Workload]) -> BTreeSet<&'static str> {
        self.of(workloads)
            .flat_map(|row| row.figures.extra.keys().copied())
            .collect()
    }

    /// How busy others were while these workloads ran.
    pub(super) fn others_cpus(&self, workloads: &[Workload]) -> Option<Spread> {
        Spread::of(self.of(workloads).filter_map(|row| row.figures.others_cpus))
    }

    /// One figure of a peer over all rounds.
    pub(super) fn spread(
        &self,
        peer: &str,
        workload: &str,
        figure: impl Fn(&Figures) -> Option<f64>,
    ) -> Option<Spread> {
        let rounds = self.rows.iter();
        let rounds = rounds.filter(|row| row.peer == peer && row.workload == workload);
        Spread::of(rounds.filter_map(|row| figure(&row.figures)))
    }

    fn of<'a>(&'a self, workloads: &[Workload]) -> impl Iterator<Item = &'a Row> + use<'a> {
        let names: Vec<_> = workloads.iter().map(Workload::name).collect();
        self.rows
            .iter()
            .filter(move |row| names.contains(&row.workload))
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
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
        let of = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(
            of(&[4.0, 1.0, 2.0, 9.0]),
            Some(Spread {
                median: 3.0,
                min: 1.0,
                max: 9.0
            })
        );
        assert_eq!(of(&[5.0]).map(|spread| spread.median), Some(5.0));
        assert_eq!(of(&[]), None);
    }
}
