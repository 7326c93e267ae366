//! The wait for a replica.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::Balance;
use crate::{Backoff, Error, replicas::Demand};

/// Waits for a replica that takes a call: until the call's deadline, or for the verdict of the dials.
pub(super) struct Waiting<S, P> {
    balance: Balance<S, P>,
    fail_fast: bool,
    /// Rings when another look is worth it.
    bell: Pin<Box<OwnedNotified>>,
    /// Keeps the set from being idle.
    _demand: Demand<S>,
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Until a picker that knows replicas and chose none is asked once more.
    pause: Option<Pin<Box<Sleep>>>,
    /// How many of these are over.
    pauses: u32,
    seed: u64,
}

/// The waits between two questions to such a picker, whose reasons are its own: a call that ends, say, rings no bell.
/// They grow, since each costs a timer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

impl<S, P> Waiting<S, P> {
    pub(super) fn new(balance: Balance<S, P>, cx: &crate::Context) -> Self {
        let fail_fast = cx.fail_fast().unwrap_or(balance.fail_fast);
        Self {
            bell: Box::pin(bell(&balance, fail_fast).notified_owned()),
            _demand: balance.replicas().demand(),
            fail_fast,
            balance,
            deadline: cx.deadline(),
            sleep: None,
            pause: None,
            pauses: 0,
            seed: cx.seed().into(),
        }
    }

    /// Tries to `take` a replica, now and whenever it may have become possible.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Balance<S, P>) -> Option<Result<T, Error>>,
    ) -> Poll<Result<T, Error>> {
        loop {
            // The bell was there before this look, so that nothing comes unseen between the two. The verdict is
            // asked first: if it is that there is a replica, the snapshot has it.
            let verdict = match self.fail_fast {
                true => self.balance.replicas().verdict(),
                false => None,
            };
            if let Some(taken) = take(&mut self.balance) {
                return Poll::Ready(taken);
            }
            match verdict {
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(())) => {
                    let text = "no replica takes the call";
                    return Poll::Ready(Err(self.balance.replicas().unreachable(text)));
                }
                None => {}
            }
            if self.bell.as_mut().poll(cx).is_ready() {
                let bell = bell(&self.balance, self.fail_fast);
                self.bell = Box::pin(bell.notified_owned());
                continue;
            }
            let has_replicas = self.balance.has_replicas();
            if has_replicas {
                let backoff = || Backoff::new(PAUSES.0, PAUSES.1).factor(1.3);
                let wait = || Box::pin(sleep(backoff().wait(self.pauses, self.seed)));
                if self
                    .pause
                    .get_or_insert_with(wait)
                    .as_mut()
                    .poll(cx)
                    .is_ready()
                {
                    self.pause = None;
                    self.pauses = self.pauses.saturating_add(1);
                    continue;
                }
            }
            let Some(deadline) = self.deadline else {
                return Poll::Pending;
            };
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(sleep.as_mut().poll(cx));
            let text = match has_replicas {
                true => "no replica was chosen within the deadline",
                false => "no replica was live within the deadline",
            };
            return Poll::Ready(Err(self.balance.replicas().unreachable(text).out_of_time()));
        }
    }
}

fn bell<S, P>(balance: &Balance<S, P>, fail_fast: bool) -> Arc<Notify> {
    let replicas = balance.replicas();
    let bell = match fail_fast {
        true => replicas.changed(),
        false => replicas.published(),
    };
    bell.clone()
}
