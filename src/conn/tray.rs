//! Where the answers to a batch are laid out.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use super::{answer::plain, mailbox::CallResult};
use crate::Error;

/// One place for each call of a batch, by number.
///
/// Who waits for all of them is woken once, by the last; who waits for one, by that one. So a batch costs one
/// wake, however many answers come, and in however many reads.
#[derive(Debug, Default)]
pub(crate) struct Tray(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    places: Vec<Place>,
    missing: usize,
    /// Who waits for all of them.
    waiting: Option<Waker>,
}

#[derive(Debug)]
enum Place {
    /// Nothing has come, and this is whom to wake.
    Missing(Option<Waker>),
    /// The answer, to be taken.
    Here(CallResult),
    /// The answer was taken.
    Taken,
}

impl Tray {
    /// A place for another call, and its number.
    pub(crate) fn add(&self) -> u32 {
        let mut tray = self.lock();
        tray.missing += 1;
        tray.places.push(Place::Missing(None));
        // A connection has ids for fewer.
        u32::try_from(tray.places.len() - 1).expect("a batch is shorter than 2^32 calls")
    }

    /// Takes the answer to one call, or promises to wake whoever waits for it.
    ///
    /// # Panics
    /// If it was taken before.
    pub(crate) fn poll(&self, number: u32, waker: &Waker) -> Poll<CallResult> {
        // Dropped past the lock: it may run code of the user's.
        let _old;
        let mut tray = self.lock();
        let place = &mut tray.places[number as usize];
        if let Place::Missing(waiting) = place {
            _old = waiting.replace(waker.clone());
            return Poll::Pending;
        }
        let Place::Here(answer) = mem::replace(place, Place::Taken) else {
            panic!("an answer is taken once");
        };
        drop(tray);
        Poll::Ready(plain(answer))
    }

    /// Whether the answer to one call has come.
    pub(crate) fn is_here(&self, number: u32) -> bool {
        !matches!(self.lock().places[number as usize], Place::Missing(_))
    }

    /// Whether all answers are here, or a promise to wake whoever waits for that.
    pub(crate) fn poll_all(&self, waker: &Waker) -> Poll<()> {
        let _old;
        let mut tray = self.lock();
        if tray.missing == 0 {
            return Poll::Ready(());
        }
        _old = tray.waiting.replace(waker.clone());
        Poll::Pending
    }

    /// Puts an answer in its place, if it is missing, and notes whom to wake. To be called without any other
    /// lock: an answer that is there already makes this one go, which is dropped here.
    pub(crate) fn deliver(&self, number: u32, answer: CallResult, wakers: &mut Vec<Waker>) {
        let mut tray = self.lock();
        let place = &mut tray.places[number as usize];
        let Place::Missing(waiting) = place else {
            drop(tray);
            return;
        };
        wakers.extend(waiting.take());
        *place = Place::Here(answer);
        tray.missing -= 1;
        if tray.missing == 0 {
            wakers.extend(tray.waiting.take());
        }
    }

    /// The calls that are missing end with this error.
    pub(crate) fn fail(&self, error: &Error) {
        self.fail_from(0, error);
    }

    /// The calls that are missing end with this error, from the one with this number on.
    pub(crate) fn fail_from(&self, number: u32, error: &Error) {
        let mut wakers = Vec::new();
        let mut tray = self.lock();
        let Places {
            places,
            missing,
            waiting,
        } = &mut *tray;
        if *missing > 0 {
            for place in places.iter_mut().skip(number as usize) {
                if let Place::Missing(waiting) = place {
                    wakers.extend(waiting.take());
                    *place = Place::Here(Err(error.clone()));
                    *missing -= 1;
                }
            }
            if *missing == 0 {
                wakers.extend(waiting.take());
            }
        }
        drop(tray);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;
    use crate::{Kind, Response};

    /// Delivers and wakes, as a connection does.
    fn deliver(tray: &Tray, number: u32) -> usize {
        let mut wakers = Vec::new();
        tray.deliver(number, Ok(Response::default()), &mut wakers);
        let woken = wakers.len();
        wakers.into_iter().for_each(Waker::wake);
        woken
    }

    #[test]
    fn who_waits_for_all_is_woken_once_by_the_last() {
        let tray = Tray::default();
        let numbers = [tray.add(), tray.add(), tray.add()];
        let mut all = task::spawn(std::future::poll_fn(|cx| tray.poll_all(cx.waker())));
        assert_pending!(all.poll());
        assert_eq!(deliver(&tray, numbers[2]), 0);
        assert_eq!(deliver(&tray, numbers[0]), 0);
        assert!(!all.is_woken());
        assert_eq!(deliver(&tray, numbers[1]), 1);
        assert!(all.is_woken());
        assert_ready!(all.poll());
    }

    #[test]
    fn who_waits_for_one_is_woken_by_that_one() {
        let tray = Tray::default();
        let numbers = [tray.add(), tray.add()];
        let mut one = task::spawn(std::future::poll_fn(|cx| tray.poll(numbers[1], cx.waker())));
        assert_pending!(one.poll());
        deliver(&tray, numbers[0]);
        assert!(!one.is_woken());
        deliver(&tray, numbers[1]);
        assert_ready!(one.poll()).unwrap();
    }

    #[test]
    fn what_is_missing_fails_and_what_came_stays() {
        let tray = Arc::new(Tray::default());
        let numbers = [tray.add(), tray.add()];
        deliver(&tray, numbers[0]);
        let error = Error::new(Kind::Cancelled, "given up");
        tray.fail(&error);
        let waker = Waker::noop();
        assert!(tray.poll_all(waker).is_ready());
        assert_eq!(deliver(&tray, numbers[1]), 0, "it comes too late");
        tray.fail(&Error::new(Kind::Internal, "so does this"));
        assert_ready!(tray.poll(numbers[0], waker)).unwrap();
        let error = assert_ready!(tray.poll(numbers[1], waker)).unwrap_err();
        assert_eq!(error.kind(), Kind::Cancelled);
    }

    #[test]
    fn the_last_of_those_that_fail_together_wakes_who_waits_for_all() {
        let tray = Tray::default();
        let numbers = [tray.add(), tray.add(), tray.add()];
        let mut all = task::spawn(std::future::poll_fn(|cx| tray.poll_all(cx.waker())));
        assert_pending!(all.poll());
        tray.fail_from(numbers[1], &Error::new(Kind::Cancelled, "given up"));
        assert!(!all.is_woken() && !tray.is_here(numbers[0]) && tray.is_here(numbers[2]));
        tray.fail(&Error::new(Kind::Timeout, "given up"));
        assert!(all.is_woken());
        let error = assert_ready!(tray.poll(numbers[2], Waker::noop())).unwrap_err();
        assert_eq!(error.kind(), Kind::Cancelled);
    }
}
