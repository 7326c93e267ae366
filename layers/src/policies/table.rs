//! The policies of all methods.

use std::{collections::HashMap, fmt};

use super::MethodPolicy;
use crate::{Error, Kind};

/// Policies by the names of methods.
///
/// | pattern | is for |
/// |---|---|
/// | `Users.Get` | the method of that name |
/// | `Users.*` | all methods whose names begin with `Users.` |
/// | `*` | all methods |
///
/// Where several are for a method, each setting is that of the most specific one that says it: the name, then the
/// longest beginning.
#[derive(Clone, Debug, Default)]
pub struct MethodPolicies {
    /// With all that broader ones say besides.
    exact: HashMap<Box<str>, MethodPolicy>,
    /// By beginnings, the longest first; likewise.
    prefixes: Vec<(Box<str>, MethodPolicy)>,
}

impl MethodPolicies {
    /// Policies by patterns.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a pattern that occurs twice, or with a `*` anywhere but at its end.
    pub fn new<P: Into<String>>(
        policies: impl IntoIterator<Item = (P, MethodPolicy)>,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        for (pattern, policy) in policies {
            all.add(pattern.into(), policy)?;
        }
        all.prefixes.sort_by_key(|(prefix, _)| prefix.len());
        // The shorter ones are complete by then.
        for place in 0..all.prefixes.len() {
            let (broader, rest) = all.prefixes.split_at_mut(place);
            let (prefix, policy) = &mut rest[0];
            *policy = policy.or(longest(broader.iter().rev(), prefix));
        }
        all.prefixes.reverse();
        for (name, policy) in &mut all.exact {
            *policy = policy.or(longest(&all.prefixes, name));
        }
        Ok(all)
    }

    /// What holds for a method: one look into a table, and one at each beginning for a method without a policy of
    /// its own.
    pub fn policy(&self, method: &str) -> MethodPolicy {
        match self.exact.get(method) {
            Some(policy) => *policy,
            None => longest(&self.prefixes, method),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.prefixes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&mut self, pattern: String, policy: MethodPolicy) -> Result<(), Error> {
        let (name, is_prefix) = match pattern.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (&*pattern, false),
        };
        if name.contains('*') {
            return Err(invalid(&pattern, "has a * that is not at its end"));
        }
        let is_new = match is_prefix {
            true => {
                let is_new = self.prefixes.iter().all(|(prefix, _)| **prefix != *name);
                self.prefixes.push((name.into(), policy));
                is_new
            }
            false => self.exact.insert(name.into(), policy).is_none(),
        };
        match is_new {
            true => Ok(()),
            false => Err(invalid(&pattern, "occurs twice")),
        }
    }
}

/// The policy of the first of these that `name` begins with.
fn longest<'a>(
    prefixes: impl IntoIterator<Item = &'a (Box<str>, MethodPolicy)>,
    name: &str,
) -> MethodPolicy {
    let mut prefixes = prefixes.into_iter();
    let found = prefixes.find(|(prefix, _)| name.starts_with(&**prefix));
    found.map(|(_, policy)| *policy).unwrap_or_default()
}

fn invalid(pattern: &str, what: impl fmt::Display) -> Error {
    Error::new(
        Kind::Invalid,
        format!("the method pattern {pattern:?} {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Priority;

    fn attempts(number: u32) -> MethodPolicy {
        MethodPolicy::new().attempts(number)
    }

    #[test]
    fn each_setting_is_that_of_the_most_specific_pattern_that_says_it() {
        let policies = MethodPolicies::new([
            ("Users.Get", attempts(4)),
            (
                "*",
                attempts(1).priority(Priority::Critical).idempotent(false),
            ),
            ("Users.*", attempts(2).idempotent(true)),
            ("Users.G*", attempts(3).compression(false)),
            ("Other", MethodPolicy::new()),
        ])
        .unwrap();
        let all = attempts(1).priority(Priority::Critical).idempotent(false);
        let users = all.attempts(2).idempotent(true);
        let begins = users.attempts(3).compression(false);
        for (method, policy) in [
            ("", all),
            ("Other", all),
            ("Users", all),
            ("Users.", users),
            ("Users.List", users),
            ("Users.Gone", begins),
            ("Users.Get", begins.attempts(4)),
            ("Users.Get.", begins),
        ] {
            assert_eq!(policies.policy(method), policy, "{method}");
        }
        assert_eq!(policies.len(), 5);
    }

    #[test]
    fn a_method_without_a_policy_has_one_that_says_nothing() {
        let policies = MethodPolicies::new([("A.*", attempts(2))]).unwrap();
        assert_eq!(policies.policy("B.C"), MethodPolicy::new());
        let none: [(&str, _); 0] = [];
        assert!(MethodPolicies::new(none).unwrap().is_empty());
    }

    #[test]
    fn a_pattern_that_can_mean_nothing_is_refused_by_name() {
        for (patterns, text) in [
            (
                ["A", "*.Get"],
                r#"the method pattern "*.Get" has a * that is not at its end"#,
            ),
            (
                ["A", "**"],
                r#"the method pattern "**" has a * that is not at its end"#,
            ),
            (["A", "A"], r#"the method pattern "A" occurs twice"#),
            (["A*", "A*"], r#"the method pattern "A*" occurs twice"#),
        ] {
            let policies = patterns.map(|pattern| (pattern, attempts(1)));
            let error = MethodPolicies::new(policies).unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::Invalid, text));
        }
    }
}
