//! The task of one endpoint.

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    Member,
    link::Order,
    shared::{Shared, Wish},
    table::Health,
};
use crate::{Error, Kind};

/// Decides what the connections of an endpoint do, and whether it is called.
pub(super) struct Endpoint<S> {
    pub(super) member: Member,
    pub(super) shared: Arc<Shared<S>>,
    pub(super) orders: watch::Sender<Order>,
    pub(super) wishes: watch::Receiver<Wish>,
    pub(super) listed: watch::Receiver<bool>,
}

/// A connection that is kept.
pub(super) type Kept = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is to become of the endpoint.
#[derive(PartialEq)]
enum Fate {
    Run,
    Idle,
    /// It is listed no more.
    Leave,
    /// To end in order: that is the wish, or all handles are gone.
    Drain,
    Close,
}

impl<S: Clone> Endpoint<S> {
    /// Keeps the endpoint until it is listed no more, or its set ends. All of it is one task.
    pub(super) async fn run(self, links: Vec<Kept>) {
        let (shared, member) = (self.shared.clone(), self.member.clone());
        tokio::select! {
            biased;
            // They end by order.
            () = all_of(links) => {}
            () = judge(&shared, &member) => {}
            () = self.order() => {}
        }
    }

    /// Gives orders; does not return.
    async fn order(mut self) {
        let stats = self.member.stats().clone();
        let last = loop {
            let order = match self.fate() {
                Fate::Run => {
                    stats.gate.open();
                    self.hide(false);
                    Order::Run
                }
                // No call begins from here on, and those that have begun end; unless it is wanted again before.
                fate @ (Fate::Idle | Fate::Leave) => {
                    self.hide(true);
                    tokio::select! {
                        biased;
                        () = changed(&mut self.wishes, &mut self.listed) => continue,
                        () = stats.gate.shut_when_idle() => {}
                    }
                    match fate {
                        Fate::Idle => Order::Idle,
                        _ if self.remove() => break Order::Drain,
                        _ => continue,
                    }
                }
                Fate::Drain => break Order::Drain,
                Fate::Close => break Order::Close,
            };
            self.orders.send_replace(order);
            changed(&mut self.wishes, &mut self.listed).await;
        };
        self.orders.send_replace(last);
        pending().await
    }

    fn fate(&self) -> Fate {
        match *self.wishes.borrow() {
            Wish::Close => Fate::Close,
            Wish::Drain => Fate::Drain,
            _ if self.wishes.has_changed().is_err() => Fate::Drain,
            _ if !*self.listed.borrow() => Fate::Leave,
            Wish::Idle => Fate::Idle,
            Wish::Run => Fate::Run,
        }
    }

    fn hide(&self, hidden: bool) {
        self.shared.update(|table| {
            if let Some(entry) = table.entry(&self.member) {
                entry.hidden = hidden;
            }
        });
    }

    /// Takes the endpoint out of the table, unless it is listed again.
    fn remove(&self) -> bool {
        let removed = self.shared.update(|table| {
            let before = table.entries.len();
            let goes = |listed: bool, member: &Member| !listed && *member == self.member;
            table
                .entries
                .retain(|entry| !goes(*entry.listed.borrow(), &entry.member));
            table.entries.len() < before
        });
        if removed {
            let address = self.member.address();
            tracing::info!(target: "steeple::replicas", address, "removed");
        }
        removed
    }
}

/// Ejects an endpoint whose calls fail, and gives it a chance now and then; does not return.
async fn judge<S: Clone>(shared: &Shared<S>, member: &Member) {
    let (stats, ejection) = (member.stats(), &shared.options.ejection);
    loop {
        stats.failing().await;
        if !eject(shared, member) {
            stats.forgive();
            continue;
        }
        let mut times = 0;
        loop {
            tokio::select! {
                biased;
                // A new connection is a new start.
                passed = stats.verdict() => if passed { break },
                () = sleep(ejection.time.wait(times, fastrand::u64(..))) => {}
            }
            stats.gate.open_for_one();
            set_health(shared, member, Health::Probing);
            if stats.verdict().await {
                break;
            }
            times = times.saturating_add(1);
            stats.gate.open();
            set_health(shared, member, Health::Ejected);
        }
        stats.forgive();
        stats.gate.open();
        set_health(shared, member, Health::Well);
    }
}

/// Ejects an endpoint, unless too many are.
fn eject<S: Clone>(shared: &Shared<S>, member: &Member) -> bool {
    let ejected = shared.update(|table| {
        let (live, ejected) = table.live();
        let allowed = shared.options.ejection.allows(ejected, live);
        match table.entry(member).filter(|_| allowed) {
            Some(entry) => {
                let failures = member.stats().failures();
                let text = format!("{failures} calls in a row have failed");
                entry.reason = Some(Error::new(Kind::Unavailable, text));
                true
            }
            None => false,
        }
    });
    if ejected {
        set_health(shared, member, Health::Ejected);
    }
    ejected
}

fn set_health<S: Clone>(shared: &Shared<S>, member: &Member, health: Health) {
    let address = member.address();
    tracing::info!(target: "steeple::replicas", address, ?health, "health changed");
    shared.update(|table| {
        if let Some(entry) = table.entry(member) {
            entry.health = health;
            entry.since = Instant::now();
            if health == Health::Well {
                entry.reason = None;
            }
        }
    });
}

/// Waits for either to change.
async fn changed(wishes: &mut watch::Receiver<Wish>, listed: &mut watch::Receiver<bool>) {
    // An error is a change too: that all handles are gone. The table does not let go of the other first.
    tokio::select! {
        biased;
        _ = wishes.changed() => {}
        _ = listed.changed() => {}
    }
}

/// Waits for the end of all. They are few, so each wake-up polls them all.
async fn all_of(mut futures: Vec<Kept>) {
    poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        match futures.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}
