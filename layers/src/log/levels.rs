//! At which level what is told.

use std::fmt;

use tracing::{Level, level_filters::LevelFilter};

use crate::Kind;

/// A level for success and for each kind of failure, small enough to go with every call.
#[derive(Clone, Copy)]
pub(super) struct Levels {
    success: Code,
    failures: [Code; Kind::ALL.len()],
    /// The one that is wanted most often.
    gravest: Code,
}

/// The place of a level in [`FILTERS`].
type Code = u8;

/// Each one lets through what those before it do.
const FILTERS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

impl Levels {
    /// Whether anything that could be told would be heard.
    pub(super) fn are_wanted(&self) -> bool {
        let gravest = FILTERS[usize::from(self.gravest)];
        gravest != LevelFilter::OFF && gravest <= LevelFilter::current()
    }

    /// The level of a call that succeeded, if that is told.
    pub(super) fn success(&self) -> Option<Level> {
        FILTERS[usize::from(self.success)].into_level()
    }

    /// The level of a call that failed, if that is told.
    pub(super) fn failure(&self, kind: Kind) -> Option<Level> {
        FILTERS[usize::from(self.failures[kind.index()])].into_level()
    }

    pub(super) fn set_success(&mut self, level: LevelFilter) {
        self.success = code(level);
        self.weigh();
    }

    pub(super) fn set_failure(&mut self, kind: Kind, level: LevelFilter) {
        self.failures[kind.index()] = code(level);
        self.weigh();
    }

    fn weigh(&mut self) {
        let all = self.failures.into_iter().chain([self.success]);
        self.gravest = all.filter(|&code| code > 0).min().unwrap_or(0);
    }
}

fn code(level: LevelFilter) -> Code {
    let place = FILTERS.iter().position(|&filter| filter == level);
    place.unwrap_or_default() as Code
}

impl Default for Levels {
    fn default() -> Self {
        let failures = Kind::ALL.map(|kind| match kind {
            Kind::Application | Kind::Cancelled | Kind::Closed => LevelFilter::DEBUG,
            Kind::Internal => LevelFilter::ERROR,
            _ => LevelFilter::WARN,
        });
        let mut levels = Self {
            success: code(LevelFilter::DEBUG),
            failures: failures.map(code),
            gravest: 0,
        };
        levels.weigh();
        levels
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = Kind::ALL.map(|kind| (kind, self.failure(kind)));
        f.debug_struct("Levels")
            .field("success", &self.success())
            .field("failures", &failures)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_set_is_the_one_that_is_told() {
        let mut levels = Levels::default();
        assert_eq!(levels.success(), Some(Level::DEBUG));
        assert_eq!(levels.failure(Kind::Timeout), Some(Level::WARN));
        for filter in FILTERS {
            levels.set_success(filter);
            levels.set_failure(Kind::Timeout, filter);
            assert_eq!(levels.success(), filter.into_level());
            assert_eq!(levels.failure(Kind::Timeout), filter.into_level());
        }
    }

    #[test]
    fn what_tells_nothing_is_never_wanted() {
        let mut levels = Levels::default();
        levels.set_success(LevelFilter::OFF);
        for kind in Kind::ALL {
            levels.set_failure(kind, LevelFilter::OFF);
        }
        assert_eq!(levels.gravest, 0);
        assert!(!levels.are_wanted());
    }
}
