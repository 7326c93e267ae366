//! One at a time, in the order of arrival.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{Peer, Request};

/// A line in which the ordered calls of one connection stand. As long as there are calls: each is one of the
/// requests that the connection allows.
#[derive(Clone, Default)]
struct Line(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    /// The number of the call at the front, whose turn it is.
    front: u64,
    places: VecDeque<Place>,
}

enum Place {
    Taken(Option<Waker>),
    Left,
}

/// A place in the line, left when it is dropped.
pub(super) struct Turn {
    line: Line,
    number: u64,
}

impl Turn {
    /// The last place in the line of the connection that the request came in on. A request that was made
    /// here has nothing to be in order with.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let values = Peer::of(request)?.values();
        Some(values.get_or_insert_with(Line::default).join())
    }

    /// Ready when all that came before have left.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // The old waker is dropped past the lock.
        let _old;
        let mut queue = self.line.lock();
        let index = queue.index(self.number);
        if index == 0 {
            return Poll::Ready(());
        }
        if let Place::Taken(waker) = &mut queue.places[index] {
            _old = waker.replace(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.line.lock();
        let index = queue.index(self.number);
        queue.places[index] = Place::Left;
        let next = (index == 0).then(|| queue.advance()).flatten();
        drop(queue);
        next.into_iter().for_each(Waker::wake);
    }
}

impl Line {
    fn join(&self) -> Turn {
        let mut queue = self.lock();
        let number = queue.front + queue.places.len() as u64;
        queue.places.push_back(Place::Taken(None));
        Turn {
            line: self.clone(),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn index(&self, number: u64) -> usize {
        (number - self.front) as usize
    }

    /// Removes the places at the front that were left; whoever is next is to be woken.
    fn advance(&mut self) -> Option<Waker> {
        while let Some(Place::Left) = self.places.front() {
            self.places.pop_front();
            self.front += 1;
        }
        match self.places.front_mut()? {
            Place::Taken(waker) => waker.take(),
            Place::Left => None,
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.number).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    macro_rules! poll {
        ($task:expr, $turn:expr) => {
            $task.enter(|cx, _| $turn.poll(cx))
        };
    }

    #[test]
    fn whoever_came_first_is_first_and_the_next_is_woken() {
        let line = Line::default();
        let (first, second) = (line.join(), line.join());
        let mut task = task::spawn(());
        assert_ready!(poll!(task, first));
        assert_pending!(poll!(task, second));
        assert!(!task.is_woken());
        drop(first);
        assert!(task.is_woken());
        assert_ready!(poll!(task, second));
    }

    #[test]
    fn one_that_leaves_the_line_lets_nobody_overtake() {
        let line = Line::default();
        let (first, second, third) = (line.join(), line.join(), line.join());
        let mut task = task::spawn(());
        drop(second);
        assert_pending!(poll!(task, third));
        drop(first);
        assert_ready!(poll!(task, third));
        drop(third);
        assert_ready!(poll!(task, line.join()));
        assert!(line.lock().places.is_empty());
    }
}
