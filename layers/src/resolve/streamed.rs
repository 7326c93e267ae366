//! Endpoints as a stream tells them.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{self, PoisonError},
    time::Duration,
};

use futures_core::Stream;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{Resolution, Resolver, Target, Version};
use crate::BoxError;

/// A resolver of what a stream says: whole sets, or changes.
///
/// Until the stream has said something there are no endpoints, and after its end no changes. Any number of sets may ask
/// the same one: who asks for news waits with the others.
pub struct Streamed<T> {
    /// What is believed: who asks for no more than that never waits.
    known: sync::Mutex<Resolution<T>>,
    /// Whoever has it waits for news, for all.
    source: Mutex<Source<T>>,
    hold_empty: Duration,
}

/// A change of a set of endpoints.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T> {
    /// An endpoint is there, or has other attributes than before.
    Insert(Target<T>),
    /// An endpoint is gone.
    Remove(T),
}

struct Source<T> {
    steps: Pin<Box<dyn Stream<Item = Result<Step<T>, BoxError>> + Send>>,
    targets: Vec<Target<T>>,
    /// Of what was believed last.
    version: u64,
    /// Until when the set, which has become empty, is not believed.
    held: Option<Instant>,
}

/// What the stream says at one time.
enum Step<T> {
    Set(Vec<Target<T>>),
    Change(Change<T>),
}

impl<T: PartialEq> Streamed<T> {
    /// Each item is the whole set. An error is passed on, and the stream asked again.
    pub fn sets<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Vec<Target<T>>, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
        T: 'static,
    {
        Self::new(Steps(Box::pin(stream), Step::Set))
    }

    /// Each item is a change. An error is passed on, and the stream asked again.
    pub fn changes<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Change<T>, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
        T: 'static,
    {
        Self::new(Steps(Box::pin(stream), Step::Change))
    }

    fn new(steps: impl Stream<Item = Result<Step<T>, BoxError>> + Send + 'static) -> Self {
        Self {
            known: sync::Mutex::new(Resolution::versioned(Vec::new(), 0)),
            source: Mutex::new(Source {
                steps: Box::pin(steps),
                targets: Vec::new(),
                version: 0,
                held: None,
            }),
            hold_empty: Duration::ZERO,
        }
    }

    /// How long a set that has become empty is not believed: a registry that restarts forgets everybody.
    /// Default: 0.
    #[must_use]
    pub fn hold_empty(mut self, time: Duration) -> Self {
        self.hold_empty = time;
        self
    }
}

impl<T: Clone + PartialEq + Send + 'static> Resolver<T> for Streamed<T> {
    async fn resolve(&self, after: Option<&Version>) -> Result<Resolution<T>, BoxError> {
        let news = || {
            let known = self.known();
            (after.is_none() || known.version() != after).then(|| known.clone())
        };
        if let Some(news) = news() {
            return Ok(news);
        }
        let mut source = self.source.lock().await;
        // Somebody else may have waited for them.
        if let Some(news) = news() {
            return Ok(news);
        }
        source.change(self.hold_empty).await?;
        source.version += 1;
        let resolution = Resolution::versioned(source.targets.clone(), source.version);
        *self.known() = resolution.clone();
        Ok(resolution)
    }
}

impl<T> Streamed<T> {
    fn known(&self) -> sync::MutexGuard<'_, Resolution<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: PartialEq> Source<T> {
    /// Waits for a change that is to be believed. To be dropped without harm: what was heard until then is remembered.
    async fn change(&mut self, hold_empty: Duration) -> Result<(), BoxError> {
        loop {
            match self.held {
                None => self.step(hold_empty).await?,
                Some(until) => match timeout_at(until, self.step(hold_empty)).await {
                    Ok(step) => step?,
                    Err(_) => self.held = None,
                },
            }
            if self.held.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for the next item.
    async fn step(&mut self, hold_empty: Duration) -> Result<(), BoxError> {
        let Some(step) = poll_fn(|cx| self.steps.as_mut().poll_next(cx)).await else {
            return std::future::pending().await;
        };
        let was_empty = self.targets.is_empty();
        match step? {
            Step::Set(targets) => self.targets = targets,
            Step::Change(Change::Insert(target)) => {
                let same = |known: &&mut Target<T>| known.endpoint() == target.endpoint();
                match self.targets.iter_mut().find(same) {
                    Some(known) => *known = target,
                    None => self.targets.push(target),
                }
            }
            Step::Change(Change::Remove(endpoint)) => {
                self.targets.retain(|known| *known.endpoint() != endpoint);
            }
        }
        self.held = match self.targets.is_empty() {
            true if was_empty => self.held,
            true => Some(Instant::now() + hold_empty),
            false => None,
        };
        Ok(())
    }
}

/// A stream of items as one of steps.
struct Steps<S, F>(Pin<Box<S>>, F);

impl<S, F, I, E, T> Stream for Steps<S, F>
where
    S: Stream<Item = Result<I, E>>,
    F: Fn(I) -> Step<T> + Unpin,
    E: Into<BoxError>,
{
    type Item = Result<Step<T>, BoxError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let polled = self.0.as_mut().poll_next(cx);
        polled.map(|item| item.map(|item| item.map(&self.1).map_err(Into::into)))
    }
}

impl<T> fmt::Debug for Streamed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").finish_non_exhaustive()
    }
}
