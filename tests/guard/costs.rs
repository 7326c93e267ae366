//! The table of what a call may cost, and how a run is compared with it.

use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::scenarios::{SCENARIOS, Scenario};

pub(crate) const ALLOCATIONS: &str = "allocations";
pub(crate) const ALLOCATED: &str = "allocated bytes";
pub(crate) const WIRE_BYTES: &str = "wire bytes";
pub(crate) const CLIENT_READS: &str = "client reads";
pub(crate) const SERVER_READS: &str = "server reads";
pub(crate) const CLIENT_WRITES: &str = "client writes";
pub(crate) const SERVER_WRITES: &str = "server writes";
pub(crate) const POLLS: &str = "polls";
pub(crate) const INSTRUCTIONS: &str = "instructions";

/// The columns of the table, and by which part of itself each figure may rise. What is counted hardly differs from
/// run to run: the room is for what does not matter, such as how often a buffer grows.
const FIGURES: [(&str, f64); 9] = [
    (ALLOCATIONS, 0.02),
    (ALLOCATED, 0.05),
    (WIRE_BYTES, 0.01),
    (CLIENT_READS, 0.05),
    (SERVER_READS, 0.05),
    (CLIENT_WRITES, 0.05),
    (SERVER_WRITES, 0.05),
    (POLLS, 0.02),
    // The compiler and the libraries have a say in it.
    (INSTRUCTIONS, 0.05),
];

/// What any figure may rise by, per call: the table has three digits.
const SLACK: f64 = 0.002;

/// The variable that has the table written anew.
const BLESS: &str = "BLESS";

/// By scenario and figure.
type Costs = BTreeMap<(String, String), f64>;

/// Counts what each scenario costs, and fails with a line for each figure that is over its limit.
pub(crate) fn check(count: impl Fn(&Scenario) -> BTreeMap<&'static str, f64>) {
    let counted: Costs = SCENARIOS
        .iter()
        .flat_map(|scenario| {
            let name = scenario.name.to_owned();
            let figures = count(scenario).into_iter();
            figures.map(move |(figure, cost)| ((name.clone(), figure.to_owned()), cost))
        })
        .collect();
    if env::var_os(BLESS).is_some() {
        return bless(counted);
    }
    let risen = risen(&counted, &parse(&read()));
    assert!(
        risen.is_empty(),
        "calls have become dearer:\n{}\nIf that is worth it, {BLESS}=1 writes the new figures into {}.",
        risen.join("\n"),
        path().display(),
    );
}

/// A line for each figure that is over its limit.
fn risen(counted: &Costs, table: &Costs) -> Vec<String> {
    let over = |((scenario, figure), &now): (&(String, String), &f64)| {
        let of = format!("{figure} per call of `{scenario}`");
        let Some(&before) = table.get(&(scenario.clone(), figure.clone())) else {
            return Some(format!("{of}: {} are not in the table", shown(now)));
        };
        let limit = limit(figure, before);
        (now > limit).then(|| {
            let [before, now, limit] = [before, now, limit].map(shown);
            format!("{of} rose from {before} to {now}: limit {limit}")
        })
    };
    counted.iter().filter_map(over).collect()
}

fn limit(figure: &str, before: f64) -> f64 {
    let part = FIGURES.iter().find(|(name, _)| *name == figure);
    before * (1.0 + part.map_or(0.0, |&(_, part)| part)) + SLACK
}

/// Writes what was counted into the table, and leaves the rest of it.
fn bless(counted: Costs) {
    // Two tests do that, each with figures of its own.
    static TABLE: Mutex<()> = Mutex::new(());
    let _one_at_a_time = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = read();
    let mut costs = parse(&text);
    costs.extend(counted);
    let preface = text.split("\n| ").next().expect("a part before the table");
    fs::write(path(), format!("{preface}\n{}", table(&costs))).expect("the table can be written");
}

fn table(costs: &Costs) -> String {
    let names = FIGURES.map(|(figure, _)| figure);
    let mut lines = vec![
        format!("| per call | {} |", names.join(" | ")),
        format!("|---{}|", "|--:".repeat(names.len())),
    ];
    lines.extend(SCENARIOS.iter().map(|Scenario { name, .. }| {
        let cost = |figure: &str| costs.get(&((*name).to_owned(), figure.to_owned()));
        let cells = names.map(|figure| cost(figure).map_or_else(String::new, |it| shown(*it)));
        format!("| {name} | {} |", cells.join(" | "))
    }));
    lines.join("\n") + "\n"
}

/// Reads the one table of a text. A cell without a number is one that nothing is known of.
fn parse(text: &str) -> Costs {
    let mut lines = text.lines().filter_map(|line| {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(line.split(" | ").map(str::trim).collect::<Vec<_>>())
    });
    let names = lines.next().unwrap_or_default();
    let cell = |scenario: &str, figure: &str, cost: &str| {
        let cost = cost.parse().ok()?;
        Some(((scenario.to_owned(), figure.to_owned()), cost))
    };
    lines
        .flat_map(|cells| {
            let costs = names.iter().zip(&cells).skip(1);
            let of_line = costs.filter_map(|(figure, cost)| cell(cells[0], figure, cost));
            of_line.collect::<Vec<_>>()
        })
        .collect()
}

/// As many digits as mean something.
fn shown(cost: f64) -> String {
    match cost {
        100.0.. => format!("{cost:.0}"),
        _ => format!("{cost:.3}"),
    }
}

fn read() -> String {
    fs::read_to_string(path()).expect("a table of costs")
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guard/costs.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(cost: f64) -> Costs {
        let key = ("the paved road".to_owned(), ALLOCATIONS.to_owned());
        BTreeMap::from([(key, cost)])
    }

    #[test]
    fn a_figure_that_rose_says_from_what_to_what_and_its_limit() {
        assert_eq!(
            risen(&costs(3.4), &costs(2.1)),
            ["allocations per call of `the paved road` rose from 2.100 to 3.400: limit 2.144"]
        );
        assert!(risen(&costs(2.14), &costs(2.1)).is_empty());
        assert!(risen(&costs(1.0), &costs(2.1)).is_empty());
    }

    #[test]
    fn a_figure_that_is_not_in_the_table_is_missed() {
        let risen = risen(&costs(2.0), &Costs::new());
        assert_eq!(
            risen,
            ["allocations per call of `the paved road`: 2.000 are not in the table"]
        );
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let name = SCENARIOS[0].name.to_owned();
        let written = BTreeMap::from([
            ((name.clone(), ALLOCATIONS.to_owned()), 2.125),
            ((name, INSTRUCTIONS.to_owned()), 4321.0),
        ]);
        assert_eq!(parse(&table(&written)), written);
    }
}
