//! Services that tests put behind a connection.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use steeple::{Error, Kind, Peer, Request, Response};
use tower::{BoxError, Service, service_fn, util::BoxCloneSyncService};

use super::soon;

/// Answers every call with its body.
pub(crate) fn echo() -> BoxCloneSyncService<Request, Response, BoxError> {
    BoxCloneSyncService::new(service_fn(async |request: Request| {
        Ok::<_, BoxError>(Response::new(request.into_body()))
    }))
}

/// A service whose handlers do what their method says, and tell what became of them.
#[derive(Clone, Default)]
pub(crate) struct Probe(Arc<Counts>);

#[derive(Default)]
struct Counts {
    started: AtomicUsize,
    dropped: AtomicUsize,
    finished: AtomicUsize,
    bell: tokio::sync::Notify,
}

/// Counts a handler that is dropped before its end.
struct Running {
    probe: Probe,
    over: bool,
}

/// A service that is ready only while its gate is open.
#[derive(Clone, Default)]
pub(crate) struct Gate<S> {
    inner: S,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    open: bool,
    waiting: Vec<Waker>,
}

impl Probe {
    /// Handlers that began.
    pub(crate) fn started(&self) -> usize {
        self.0.started.load(Ordering::SeqCst)
    }

    /// Handlers that were dropped before their end.
    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// Handlers that came to their end.
    pub(crate) fn finished(&self) -> usize {
        self.0.finished.load(Ordering::SeqCst)
    }

    /// Lets all handlers of `wait` that run go on.
    pub(crate) fn ring(&self) {
        self.0.bell.notify_waiters();
    }

    /// The service.
    ///
    /// * `echo` answers with the body;
    /// * `big` answers with as many bytes as its body says;
    /// * `never` does not answer;
    /// * `wait` answers when the bell is [rung](Self::ring);
    /// * `sleep` answers after as many milliseconds as its body says;
    /// * `back` calls `echo` of the peer;
    /// * `deadline` answers with the microseconds that remain;
    /// * `panic` panics at once, `panic later` in its second poll;
    /// * any other is unknown.
    pub(crate) fn service(&self) -> BoxCloneSyncService<Request, Response, Error> {
        let probe = self.clone();
        BoxCloneSyncService::new(service_fn(move |request| probe.clone().handle(request)))
    }

    async fn handle(self, request: Request) -> Result<Response, Error> {
        self.0.started.fetch_add(1, Ordering::SeqCst);
        let mut running = Running {
            probe: self.clone(),
            over: false,
        };
        let method = request.method().clone();
        let number = || -> usize {
            let text = std::str::from_utf8(request.body().as_bytes()).unwrap();
            text.parse().unwrap()
        };
        let response = match method.as_str() {
            "echo" => Response::new(request.into_body()),
            "big" => Response::new(vec![b'x'; number()].into()),
            "never" => pending().await,
            "wait" => {
                self.0.bell.notified().await;
                Response::new(request.into_body())
            }
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(number() as u64)).await;
                Response::default()
            }
            "back" => {
                let mut peer = Peer::of(&request).unwrap().clone();
                peer.call(Request::new("echo", request.into_body())).await?
            }
            "deadline" => {
                let now = tokio::time::Instant::now();
                let remaining = request.cx().deadline().unwrap() - now;
                Response::new(remaining.as_micros().to_string().into())
            }
            "panic" => panic!("boom"),
            "panic later" => {
                tokio::task::yield_now().await;
                panic!("boom")
            }
            other => {
                running.over = true;
                return Err(Error::new(
                    Kind::Unimplemented,
                    format!("no method {other:?}"),
                ));
            }
        };
        running.over = true;
        self.0.finished.fetch_add(1, Ordering::SeqCst);
        Ok(response)
    }

    /// Waits until `count` handlers were dropped.
    pub(crate) async fn until_dropped(&self, count: usize) {
        self.until(|probe| probe.dropped() >= count).await;
    }

    /// Waits until `count` handlers have begun.
    pub(crate) async fn until_started(&self, count: usize) {
        self.until(|probe| probe.started() >= count).await;
    }

    async fn until(&self, done: impl Fn(&Self) -> bool) {
        soon(async {
            while !done(self) {
                super::settle().await;
            }
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let dropped = usize::from(!self.over);
        self.probe.0.dropped.fetch_add(dropped, Ordering::SeqCst);
    }
}

impl<S> Gate<S> {
    /// A closed gate before a service.
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            state: Arc::default(),
        }
    }

    pub(crate) fn open(&self) {
        let mut state = self.state.lock().unwrap();
        state.open = true;
        state.waiting.drain(..).for_each(Waker::wake);
    }
}

impl<S: Service<R>, R> Service<R> for Gate<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let mut state = self.state.lock().unwrap();
        if !state.open {
            state.waiting = vec![cx.waker().clone()];
            return Poll::Pending;
        }
        drop(state);
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}
