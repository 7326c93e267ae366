//! Circuits by name.

use std::{collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::{BreakerPolicy, Circuit};
use crate::Method;

/// A [`Circuit`] for each name, made when it is first asked for. A handle: clones are the same circuits.
///
/// The names are those of methods, or what else a layer [gives them](super::BreakerLayer::by). A layer around each
/// endpoint that asks for the circuit of its address makes endpoints that are opened and closed by hand.
#[derive(Clone)]
pub struct Circuits {
    policy: BreakerPolicy,
    named: Arc<ArcSwap<HashMap<Method, Circuit>>>,
    /// For names beyond the limit.
    others: Circuit,
}

impl Circuits {
    /// The most names, 1024: whoever makes up names must not fill the memory. Those beyond share one circuit.
    pub const MAX_NAMES: usize = 1024;

    /// Circuits that open as `policy` says.
    pub fn new(policy: BreakerPolicy) -> Self {
        let others = Circuit::named(policy.clone(), Method::from_static("all others"));
        Self {
            policy,
            named: Arc::default(),
            others,
        }
    }

    /// The circuit of that name.
    pub fn of(&self, name: impl Into<Method>) -> Circuit {
        let name = name.into();
        if let Some(circuit) = self.named.load().get(&name) {
            return circuit.clone();
        }
        let new = Circuit::named(self.policy.clone(), name.clone());
        // Another thread may be faster with the same name, or the last.
        self.named.rcu(|named| {
            let mut named = HashMap::clone(named);
            if named.len() < Self::MAX_NAMES {
                named.entry(name.clone()).or_insert_with(|| new.clone());
            }
            named
        });
        let named = self.named.load();
        named.get(&name).unwrap_or(&self.others).clone()
    }

    /// All circuits that have a name, in the order of their names.
    pub fn all(&self) -> Vec<(Method, Circuit)> {
        let named = self.named.load();
        let all = named.iter().map(|(name, one)| (name.clone(), one.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }
}

impl fmt::Debug for Circuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits")
            .field("policy", &self.policy)
            .field("names", &self.named.load().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_circuit_and_too_many_names_share_one() {
        let circuits = Circuits::new(BreakerPolicy::default());
        circuits.of("Get").trip("by hand");
        let state = |name| circuits.clone().of(name).state().to_string();
        assert_eq!(state("Get"), "open until it is reset: by hand");
        assert_eq!(state("Put"), "closed");

        for number in 0..2 * Circuits::MAX_NAMES {
            circuits.of(number.to_string());
        }
        assert_eq!(circuits.all().len(), Circuits::MAX_NAMES);
        circuits.of("one too many").trip("for all others");
        assert_eq!(state("another"), "open until it is reset: for all others");
        assert_eq!(state("Put"), "closed");
    }
}
