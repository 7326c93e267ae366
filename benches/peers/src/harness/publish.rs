//! Puts tables into a document that has others already.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::Error;

/// Where a section of the level of our tables, or one above it, begins.
const SECTIONS: [&str; 3] = ["# ", "## ", "### "];

/// Writes each table in the place of the one with the same letter, or at the end of the file if there is none.
pub(super) fn publish(path: &Path, tables: &[String]) -> Result<(), Error> {
    let document = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        document => document?,
    };
    let document = tables
        .iter()
        .fold(document, |document, table| put(&document, table));
    Ok(fs::write(path, document)?)
}

/// A section is known by its heading up to the colon.
fn put(document: &str, table: &str) -> String {
    let name = table.split_inclusive(':').next().unwrap_or(table);
    let lines: Vec<_> = document.split_inclusive('\n').collect();
    let from = lines.iter().position(|line| line.starts_with(name));
    let from = from.unwrap_or(lines.len());
    let to = lines.iter().skip(from + 1).position(|line| {
        let mut sections = SECTIONS.iter();
        sections.any(|section| line.starts_with(section))
    });
    let to = to.map_or(lines.len(), |after| from + 1 + after);
    let (before, after) = (lines[..from].concat(), lines[to..].concat());
    let gap = |text: &str| if text.is_empty() { "" } else { "\n" };
    let before = before.trim_end();
    let end = if before.is_empty() { "" } else { "\n" };
    format!("{before}{end}{}{table}{}{after}", gap(before), gap(&after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_with_its_letter() {
        let document =
            "# Results\n\nOf a run.\n\n### A: one\n\nold A\n\n### B: two\n\nold B\n\n## After\n";
        let document = put(document, "### A: another\n\nnew A\n");
        let expected = "# Results\n\nOf a run.\n\n### A: another\n\nnew A\n\n### B: two\n\nold B\n\n## After\n";
        assert_eq!(document, expected);
        let document = put(&document, "### B: two\n\nnew B\n");
        assert!(
            document.ends_with("new A\n\n### B: two\n\nnew B\n\n## After\n"),
            "{document}"
        );
    }

    #[test]
    fn a_table_that_is_new_goes_to_the_end() {
        let document = put("", "### A: one\n\na\n");
        assert_eq!(document, "### A: one\n\na\n");
        assert_eq!(
            put(&document, "### B: two\n\nb\n"),
            "### A: one\n\na\n\n### B: two\n\nb\n"
        );
    }

    #[test]
    fn to_publish_twice_changes_nothing() {
        let once = put("# Results\n", "### A: one\n\na\n");
        assert_eq!(put(&once, "### A: one\n\na\n"), once);
    }
}
