//! Timers that are taken armed and given back armed, so that a call does not pay for one of its own.
//!
//! Nearly every call ends long before its deadline, and a timer that is made, armed and disarmed for it costs
//! more than the layer around it. A timer from the pool is armed already, for some earlier call. If it fires
//! before the new owner's time, it is armed again, and only then; only one that would fire too late is moved.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// One shot, at a time that its owner tells at every poll.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Always there, until it goes back to the pool.
    sleep: Option<Pin<Box<Sleep>>>,
    runtime: Id,
}

/// Timers kept per runtime and thread. As many calls as this may wait on one thread before making a timer for
/// a call costs an allocation; kept, they are about half a megabyte.
const KEPT: usize = 4096;

/// Runtimes whose timers a thread keeps: the one it works for, and one more for threads that alternate.
const RUNTIMES: usize = 2;

/// How far ahead a timer is armed. A timer in the pool still holds the waker of its last task, and with it
/// that task's memory, until it fires; a call that lasts longer wakes this often for nothing.
const AHEAD: Duration = Duration::from_secs(30);

impl Timer {
    /// A timer for `until`, on the runtime that this is called on. `now` may be a little old.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or on one without timers.
    pub(crate) fn take(until: Instant, now: Instant) -> Self {
        let at = until.min(now + AHEAD);
        let runtime = Handle::current().id();
        let sleep = match take(runtime) {
            Some(mut sleep) => {
                if sleep.deadline() > at {
                    sleep.as_mut().reset(at);
                }
                sleep
            }
            None => Box::pin(sleep_until(at)),
        };
        Self {
            sleep: Some(sleep),
            runtime,
        }
    }

    /// Is ready once `until` has come, which may differ from one poll to the next.
    pub(crate) fn poll(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else {
            return Poll::Ready(());
        };
        loop {
            // A task that has used up its share must still see its time run out.
            ready!(Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx));
            let now = Instant::now();
            if now >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until.min(now + AHEAD));
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(sleep) = self.sleep.take() {
            give_back(self.runtime, sleep);
        }
    }
}

/// The timers of one runtime: one of another would follow another clock, or panic when that runtime is gone.
struct Shelf {
    runtime: Id,
    sleeps: Vec<Pin<Box<Sleep>>>,
}

thread_local! {
    /// The runtime used last comes first.
    static SHELVES: RefCell<Vec<Shelf>> = const { RefCell::new(Vec::new()) };
}

fn take(runtime: Id) -> Option<Pin<Box<Sleep>>> {
    SHELVES
        .try_with(|shelves| shelf(&mut shelves.borrow_mut(), runtime)?.sleeps.pop())
        .ok()?
}

/// What there is no room for is dropped outside of the borrow: with it goes a waker, and with that perhaps a
/// task that holds timers itself.
fn give_back(runtime: Id, sleep: Pin<Box<Sleep>>) {
    let mut sleep = Some(sleep);
    let mut replaced = None;
    // During the end of its thread there is no pool any more.
    let _gone = SHELVES.try_with(|shelves| {
        let mut shelves = shelves.borrow_mut();
        if shelf(&mut shelves, runtime).is_none() {
            if shelves.len() == RUNTIMES {
                replaced = shelves.pop();
            }
            let sleeps = Vec::new();
            shelves.insert(0, Shelf { runtime, sleeps });
        }
        let shelf = &mut shelves[0];
        if shelf.sleeps.len() < KEPT {
            shelf.sleeps.extend(sleep.take());
        }
    });
    drop((sleep, replaced));
}

/// The shelf of this runtime, which moves to the front.
fn shelf(shelves: &mut [Shelf], runtime: Id) -> Option<&mut Shelf> {
    let at = shelves.iter().position(|shelf| shelf.runtime == runtime)?;
    shelves[..=at].rotate_right(1);
    shelves.first_mut()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{runtime::Builder, task::coop, time::advance};

    use super::*;

    fn kept() -> usize {
        SHELVES.with(|shelves| {
            shelves
                .borrow()
                .iter()
                .map(|shelf| shelf.sleeps.len())
                .sum()
        })
    }

    async fn wait(timer: &mut Timer, until: Instant) {
        poll_fn(|cx| timer.poll(until, cx)).await;
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_fires_at_its_time_whatever_it_was_armed_for() {
        for (first, second) in [(10, 10), (10, 1), (1, 10), (100, 1), (1, 100)] {
            let start = Instant::now();
            drop(Timer::take(start + seconds(first), start));
            assert_eq!(kept(), 1);
            let until = start + seconds(second);
            let mut timer = Timer::take(until, start);
            assert_eq!(kept(), 0);
            wait(&mut timer, until).await;
            assert_eq!(Instant::now(), until);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_fired_in_the_pool_is_armed_again() {
        let start = Instant::now();
        let mut timer = Timer::take(start + seconds(1), start);
        wait(&mut timer, start + seconds(1)).await;
        drop(timer);
        advance(seconds(5)).await;
        let until = Instant::now() + seconds(1);
        wait(&mut Timer::take(until, Instant::now()), until).await;
        assert_eq!(Instant::now(), until);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_read_that_is_old_only_costs_a_second_arming() {
        let start = Instant::now();
        advance(seconds(60)).await;
        let until = Instant::now() + seconds(60);
        wait(&mut Timer::take(until, start), until).await;
        assert_eq!(Instant::now(), until);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_without_budget_sees_its_time_run_out() {
        let until = Instant::now() + seconds(1);
        let mut timer = Timer::take(until, Instant::now());
        let fired = poll_fn(|cx| Poll::Ready(timer.poll(until, cx).is_ready())).await;
        assert!(!fired);
        advance(seconds(2)).await;
        let fired = poll_fn(|cx| {
            while coop::has_budget_remaining() {
                let _spent = coop::poll_proceed(cx).map(|unit| unit.made_progress());
            }
            Poll::Ready(timer.poll(until, cx).is_ready())
        });
        assert!(fired.await);
    }

    #[test]
    fn a_runtime_gets_its_own_timers_only_and_a_thread_keeps_those_of_two() {
        let runtimes = [(); 3].map(|()| {
            let builder = &mut Builder::new_current_thread();
            builder.enable_time().start_paused(true).build().unwrap()
        });
        for (index, runtime) in runtimes.iter().enumerate() {
            runtime.block_on(async {
                let until = Instant::now() + seconds(1);
                let mut timer = Timer::take(until, Instant::now());
                assert_eq!(kept(), index.min(RUNTIMES), "one of another was taken");
                wait(&mut timer, until).await;
            });
        }
        assert_eq!(kept(), RUNTIMES);
    }

    #[test]
    fn a_timer_outlives_its_runtime_without_a_panic() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let timer = runtime.block_on(async {
            let mut timer = Timer::take(Instant::now() + seconds(9), Instant::now());
            poll_fn(|cx| {
                assert!(timer.poll(Instant::now() + seconds(9), cx).is_pending());
                Poll::Ready(())
            })
            .await;
            timer
        });
        drop(runtime);
        drop(timer);
        assert_eq!(kept(), 1);
    }

    #[tokio::test]
    async fn what_the_pool_has_no_room_for_is_dropped() {
        let now = Instant::now();
        let timers: Vec<_> = (0..KEPT + 3)
            .map(|_| Timer::take(now + seconds(1), now))
            .collect();
        drop(timers);
        assert_eq!(kept(), KEPT);
    }
}
