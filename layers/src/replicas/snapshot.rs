//! The replicas that can be called, at one time.

use std::sync::Arc;

use super::member::Member;
use crate::Error;

/// Published as a whole, and never changed.
#[derive(Debug)]
pub(crate) struct Snapshot<S> {
    /// Grows with each publication.
    pub(super) version: u64,
    /// What pickers see; of each, the seat is at the same place.
    pub(super) members: Box<[Member]>,
    pub(super) seats: Box<[Arc<Seat<S>>]>,
    /// Why no call can succeed, ever.
    pub(super) refusal: Option<Error>,
}

/// A replica and its connections that are up, at least one.
#[derive(Debug)]
pub(super) struct Seat<S> {
    pub(super) member: Member,
    pub(super) links: Box<[Link<S>]>,
}

/// A connection that is up.
#[derive(Clone, Debug)]
pub(super) struct Link<S> {
    /// Which of the endpoint's connections.
    pub(super) number: usize,
    /// Unique for each that ever was.
    pub(super) generation: u64,
    pub(super) service: S,
    /// Why it is not to be called, if its health check says so.
    pub(super) sick: Option<Error>,
}

impl<S> Snapshot<S> {
    pub(super) fn empty() -> Self {
        Self {
            version: 0,
            members: Box::default(),
            seats: Box::default(),
            refusal: None,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    pub(crate) fn replica(&self, place: usize) -> super::Replica<S> {
        super::Replica::new(self.seats[place].clone())
    }

    /// Whether the same connections are offered in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let links = |one: &Seat<S>, other: &Seat<S>| {
            let generations = |seat: &Seat<S>| {
                seat.links
                    .iter()
                    .map(|link| link.generation)
                    .collect::<Vec<_>>()
            };
            one.member == other.member
                && one.member.attributes() == other.member.attributes()
                && generations(one) == generations(other)
        };
        self.refusal.is_some() == other.refusal.is_some()
            && self.seats.len() == other.seats.len()
            && self
                .seats
                .iter()
                .zip(&other.seats)
                .all(|(one, other)| links(one, other))
    }
}
