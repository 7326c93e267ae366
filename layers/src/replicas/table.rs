//! All that is known of the endpoints of a set, and the snapshot that follows from it.

use std::{borrow::Cow, sync::Arc};

use tokio::{sync::watch, time::Instant};

use super::{
    Member, State, Status,
    member::Standing,
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
        let reasons = self.entries.iter().filter(|entry| entry.reason().is_some());
        let last = reasons.max_by_key(|entry| entry.since);
        last.and_then(|entry| entry.reason().cloned())
            .or_else(|| self.unresolved.clone())
            .or_else(|| self.refusal.clone())
    }

    /// Whether a call could be made, or why not; nothing while that is being found out.
    pub(super) fn verdict(&self, options: &Options) -> Option<Result<(), Error>> {
        if let Some(refusal) = &self.refusal {
            return Some(Err(refused(refusal)));
        }
        let is_called = |entry: &Entry<S>| entry.is_live() && entry.may_be_called(options);
        if self.entries.iter().any(is_called) {
            return Some(Ok(()));
        }
        let failed = match self.resolved {
            true if self.entries.is_empty() => return Some(Ok(())),
            true => self
                .entries
                .iter()
                .all(|entry| entry.failed || entry.sick().is_some()),
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
    /// The replicas to be called: of those that are live the healthy ones, of these the first tiers, of these
    /// the nearest.
    pub(super) fn snapshot(&self, version: u64, options: &Options) -> Snapshot<S> {
        let mut chosen: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.is_live())
            .collect();
        if chosen.iter().any(|entry| entry.sick().is_none()) {
            chosen.retain(|entry| entry.sick().is_none());
        }
        chosen.retain(|entry| entry.may_be_called(options));
        keep_at_least_half(&mut chosen, |entry| entry.health != Health::Ejected);
        let last_tier = self.keep_tiers(&mut chosen, options.tier_share);
        if let Some(zone) = &options.zone {
            let here = |entry: &Entry<S>| entry.member.zone() == Some(zone);
            let counts = |entry: &Entry<S>| here(entry) && entry.member.priority() <= last_tier;
            if self.is_enough(&chosen, options.zone_share, counts) {
                chosen.retain(|entry| here(entry));
            }
        }
        let standing = Standing::of(chosen.iter().map(|entry| &entry.member));
        let seats = chosen.iter().map(|entry| Arc::new(entry.seat(standing)));
        let seats: Box<[_]> = seats.collect();
        Snapshot {
            version,
            members: seats.iter().map(|seat| seat.member.clone()).collect(),
            seats,
            refusal: self.refusal.clone().or_else(|| self.given_up()),
        }
    }

    /// The reason, if there are endpoints and none of them will be dialled again.
    fn given_up(&self) -> Option<Error> {
        let over = |entry: &Entry<S>| entry.links.is_empty() && entry.state == State::GivenUp;
        let all = !self.entries.is_empty() && self.entries.iter().all(over);
        self.reason().filter(|_| all)
    }

    /// Keeps the tiers up to the first of which enough can be called, and tells the last that is kept.
    fn keep_tiers(&self, chosen: &mut Vec<&Entry<S>>, share: f32) -> u32 {
        let mut tiers: Vec<_> = chosen.iter().map(|entry| entry.member.priority()).collect();
        tiers.sort_unstable();
        tiers.dedup();
        let enough = tiers
            .into_iter()
            .find(|tier| self.is_enough(chosen, share, |entry| entry.member.priority() == *tier));
        let last = enough.unwrap_or(u32::MAX);
        chosen.retain(|entry| entry.member.priority() <= last);
        last
    }

    /// Whether this share of those that are listed and `count` is among the chosen, and one at least.
    fn is_enough(
        &self,
        chosen: &[&Entry<S>],
        share: f32,
        counts: impl Fn(&Entry<S>) -> bool,
    ) -> bool {
        let listed = self.entries.iter().filter(|entry| !entry.hidden);
        let all = listed.filter(|entry| counts(entry)).count();
        let able = chosen.iter().filter(|entry| counts(entry)).count();
        able > 0 && able as f32 >= all as f32 * share
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

    /// Why its health check fails, on all of its connections.
    fn sick(&self) -> Option<&Error> {
        let all = self.links.iter().all(|link| link.sick.is_some());
        self.links.last().filter(|_| all)?.sick.as_ref()
    }

    /// Whether its health lets it be called where there is nobody else.
    fn may_be_called(&self, options: &Options) -> bool {
        !options.strict_health || self.sick().is_none()
    }

    fn reason(&self) -> Option<&Error> {
        self.sick().or(self.reason.as_ref())
    }

    fn is_well(&self) -> bool {
        self.health == Health::Well
    }

    fn status(&self) -> Status {
        let state = match self.health {
            _ if self.hidden && !*self.listed.borrow() => State::Draining,
            _ if self.links.is_empty() => self.state,
            _ if self.sick().is_some() => State::Unhealthy,
            Health::Well => State::Live,
            Health::Ejected => State::Ejected,
            Health::Probing => State::Probing,
        };
        Status {
            member: self.member.clone(),
            state,
            since: self.since,
            reason: self.reason().cloned(),
        }
    }
}

impl<S: Clone> Entry<S> {
    /// What calls have of it: its healthy connections, or all if none is.
    fn seat(&self, standing: Standing) -> Seat<S> {
        let is_ill = self.sick().is_some();
        let links = self.links.iter();
        let links: Vec<_> = links
            .filter(|link| is_ill || link.sick.is_none())
            .cloned()
            .collect();
        Seat {
            member: self.member.with_standing(standing),
            links: links.into(),
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
