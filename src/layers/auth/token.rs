//! A token, and where the next one comes from.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync, time::Instant};

use super::BEARER;
use crate::{BoxError, Error, Kind};

/// What says who calls, for some time. Its text is never printed.
#[derive(Clone)]
pub struct Token {
    /// As it travels.
    value: Bytes,
    /// Until when it is used.
    until: Option<Instant>,
}

impl Token {
    /// A token that is used until a server refuses it.
    pub fn new(token: impl fmt::Display) -> Self {
        Self {
            value: format!("{BEARER}{token}").into(),
            until: None,
        }
    }

    /// The same, which is no good any more after `time`. A tenth earlier there is a new one.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        // One that the clock cannot count has no end.
        self.until = Instant::now().checked_add(time / 10 * 9);
        self
    }

    pub(super) fn value(&self) -> &Bytes {
        &self.value
    }

    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// The text stays secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Has a token, or gets one, once for all who want it.
pub(super) struct Source<F> {
    fetch: F,
    token: Mutex<Option<Arc<Token>>>,
    /// How many fetches have failed.
    failures: AtomicU64,
    /// Held while one is under way; why the last one failed.
    fetching: sync::Mutex<Option<Error>>,
}

impl<F> Source<F> {
    pub(super) fn new(fetch: F) -> Self {
        Self {
            fetch,
            token: Mutex::new(None),
            failures: AtomicU64::new(0),
            fetching: sync::Mutex::new(None),
        }
    }

    /// The token, if there is one that can be used.
    pub(super) fn token(&self) -> Option<Arc<Token>> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone().filter(|token| token.is_fresh())
    }

    /// A server has refused this one.
    pub(super) fn forget(&self, refused: &Arc<Token>) {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        // Another call may have got a new one since.
        token.take_if(|token| Arc::ptr_eq(token, refused));
    }

    /// A token that can be used. Who waits for somebody else's fetch has its result. If it is dropped, another
    /// of those who wait begins anew.
    pub(super) async fn get<Fut, E>(&self) -> Result<Arc<Token>, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Token, E>>,
        E: Into<BoxError>,
    {
        let failures = self.failures.load(Relaxed);
        let mut last = self.fetching.lock().await;
        if let Some(token) = self.token() {
            return Ok(token);
        }
        if let Some(error) = last.as_ref()
            && self.failures.load(Relaxed) != failures
        {
            return Err(error.clone());
        }
        match (self.fetch)().await {
            Ok(token) => {
                let token = Arc::new(token);
                let mut slot = self.token.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                let text = "no token could be got";
                let error = Error::new(Kind::Unauthenticated, text).with_source(error);
                self.failures.fetch_add(1, Relaxed);
                *last = Some(error.clone());
                Err(error)
            }
        }
    }
}
