//! The wait for a replica.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{Instant, Sleep, sleep_until},
};

use super::Balance;
use crate::{Error, replicas::Demand};

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
}

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
            let Some(deadline) = self.deadline else {
                return Poll::Pending;
            };
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(sleep.as_mut().poll(cx));
            let text = "no replica was live within the deadline";
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
