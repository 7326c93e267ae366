//! All that is known of the endpoints of a set, and the snapshot that follows from it.

use std::{borrow::Cow, sync::Arc};

use tokio::{sync::watch, time::Instant};

use super::{
    Member, State, Status,
    options::Options,
    snapshot::{Link, Seat, Snapshot},
};
use crate::{Error, Kind, Origin};

/// Written under a lock on changes of state only; calls read the snapshot.
#[derive(Debug)]
pub(super) struct Table<S> {
    pub(super) entries: Vec<Entry<S>>,
    /// Whether the resolver has answered.
    pub(super) resolved: bool,
    /// Why the resolver did not answer the last time.
    pub(super) unresolved: Option<Error>,
    /// Why no call can succeed, ever.
    pub(super) refusal: Option<Error>,
    next: u64,
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Entry<S> {
    pub(super) member: Member,
    /// Its connections that are up.
    pub(super) links: Vec<Link<S>>,
    pub(super) state: State,
    pub(super) since: Instant,
    pub(super) reason: Option<Error>,
    pub(super) health: Health,
    /// Whether the last dial has failed, so that a call which does not wait has its verdict.
    pub(super) failed: bool,
    /// Not called although it is live: it is about to be let go.
    pub(super) hidden: bool,
    /// Tells its task whether the resolver lists it.
    pub(super) listed: watch::Sender<bool>,
}

/// Whether the calls of an endpoint succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Ejected,
    Probing,
}

impl<S> Table<S> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            resolved: false,
            unresolved: None,
            refusal: None,
            next: 0,
        }
    }

    /// A number that nothing here had before.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn entry(&mut self, member: &Member) -> Option<&mut Entry<S>> {
        self.entries
            .iter_mut()
            .find(|entry| entry.member == *member)
    }

    /// How many are live, and how many of these ejected.
    pub(super) fn live(&self) -> (usize, usize) {
        let live = self.entries.iter().filter(|entry| entry.is_live());
        live.fold((0, 0), |(live, ejected), entry| {
            (live + 1, ejected + usize::from(!entry.is_well()))
        })
    }

    /// The last reason why one of them is not live.
    pub(super) fn reason(&self) -> Option<Error> {
        let reasons = self.entries.iter().filter(|entry| entry.reason.is_some());
        let last = reasons.max_by_key(|entry| entry.since);
        last.and_then(|entry| entry.reason.clone())
            .or_else(|| self.unresolved.clone())
            .or_else(|| self.refusal.clone())
    }

    /// Whether a call could be made, or why not; nothing while that is being found out.
    pub(super) fn verdict(&self) -> Option<Result<(), Error>> {
        if let Some(refusal) = &self.refusal {
            return Some(Err(refused(refusal)));
        }
        if self.entries.iter().any(Entry::is_live) {
            return Some(Ok(()));
        }
        let failed = match self.resolved {
            true if self.entries.is_empty() => return Some(Ok(())),
            true => self.entries.iter().all(|entry| entry.failed),
            false => self.unresolved.is_some(),
        };
        let text = match &*self.entries {
            [one] => format!("{} cannot be reached", one.member.address()).into(),
            _ => "no replica can be reached".into(),
        };
        failed.then(|| Err(unreachable(text, self.reason())))
    }

    pub(super) fn statuses(&self) -> Vec<Status> {
        self.entries.iter().map(Entry::status).collect()
    }
}

impl<S: Clone> Table<S> {
    /// The replicas to be called: of those that are live the healthy ones, of these the first tier, of these
    /// the nearest.
    pub(super) fn snapshot(&self, version: u64, options: &Options) -> Snapshot<S> {
        let mut chosen: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.is_live())
            .collect();
        keep_at_least_half(&mut chosen, |entry| entry.health != Health::Ejected);
        let tier = chosen.iter().map(|entry| entry.member.priority()).min();
        chosen.retain(|entry| Some(entry.member.priority()) == tier);
        if let Some(zone) = &options.zone {
            self.keep_zone(&mut chosen, zone);
        }
        Snapshot {
            version,
            members: chosen.iter().map(|entry| entry.member.clone()).collect(),
            seats: chosen.iter().map(|entry| Arc::new(entry.seat())).collect(),
            refusal: self.refusal.clone().or_else(|| self.given_up()),
        }
    }

    /// The reason, if there are endpoints and none of them will be dialled again.
    fn given_up(&self) -> Option<Error> {
        let over = |entry: &Entry<S>| entry.links.is_empty() && entry.state == State::GivenUp;
        let all = !self.entries.is_empty() && self.entries.iter().all(over);
        self.reason().filter(|_| all)
    }

    /// Keeps the members of `zone`, if at least half of those that are listed there can be called.
    fn keep_zone(&self, chosen: &mut Vec<&Entry<S>>, zone: &str) {
        let here = |entry: &&Entry<S>| entry.member.zone() == Some(zone);
        let listed = self.entries.iter().filter(|entry| !entry.hidden);
        let (all, able) = (
            listed.filter(here).count(),
            chosen.iter().filter(|entry| here(entry)).count(),
        );
        if able > 0 && able * 2 >= all {
            chosen.retain(here);
        }
    }
}

impl<S> Entry<S> {
    pub(super) fn new(member: Member, listed: watch::Sender<bool>) -> Self {
        Self {
            member,
            links: Vec::new(),
            state: State::Idle,
            since: Instant::now(),
            reason: None,
            health: Health::Well,
            failed: false,
            hidden: false,
            listed,
        }
    }

    /// Whether calls could be made on it.
    pub(super) fn is_live(&self) -> bool {
        !self.links.is_empty() && !self.hidden
    }

    fn is_well(&self) -> bool {
        self.health == Health::Well
    }

    fn status(&self) -> Status {
        let state = match self.health {
            _ if self.hidden && !*self.listed.borrow() => State::Draining,
            _ if self.links.is_empty() => self.state,
            Health::Well => State::Live,
            Health::Ejected => State::Ejected,
            Health::Probing => State::Probing,
        };
        Status {
            member: self.member.clone(),
            state,
            since: self.since,
            reason: self.reason.clone(),
        }
    }
}

impl<S: Clone> Entry<S> {
    fn seat(&self) -> Seat<S> {
        Seat {
            member: self.member.clone(),
            links: self.links.clone().into(),
        }
    }
}

/// What a call fails with while the set takes none.
pub(crate) fn refused(refusal: &Error) -> Error {
    Error::new(refusal.kind(), refusal.message().to_owned()).with_source(refusal.clone())
}

pub(super) fn unreachable(text: Cow<'static, str>, reason: Option<Error>) -> Error {
    let error = Error::new(Kind::Unreachable, text).with_origin(Origin::Transport);
    match reason {
        Some(reason) => error.with_source(reason),
        None => error,
    }
}

/// Keeps what is wanted, or everything if less than half is: where most are bad, the judgement is more likely
/// to be wrong than all of them.
fn keep_at_least_half<T>(all: &mut Vec<T>, wanted: impl Fn(&T) -> bool) {
    let kept = all.iter().filter(|one| wanted(one)).count();
    if kept * 2 >= all.len() {
        all.retain(wanted);
    }
}
