//! One call: what it is before it is made, and while it is awaited.

use std::{
    borrow::Cow,
    fmt,
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{Answer, Client, Started, issue::poll_once, typed::ask_for};
use crate::{Body, Codec, Error, Execution, Kind, Request, Response, conn::RpcService};

pin_project! {
    /// A call of a [`Client`]: set what it needs, then await it, or [`start`](Self::start) it.
    ///
    /// It is the future of what was asked for, or of the [`Error`], and as lazy as futures are: the call is made
    /// when it is first polled. Dropping it before it is answered cancels it.
    #[must_use = "a call does nothing unless it is awaited or started"]
    pub struct Call<'a, T, S, C>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<'a, S, S::Future>,
        codec: &'a C,
        one_way: bool,
        answer: PhantomData<fn() -> T>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<'a, S, F> {
        // There will be no call: it could not be encoded.
        Failed { error: Option<Error> },
        // The call is not made; when it is polled, the service is to get ready for it.
        Unmade { service: &'a mut S, request: Option<Request<Body>> },
        // The call was made.
        Answering { #[pin] future: F },
    }
}

impl<'a, T, S, C> Call<'a, T, S, C>
where
    S: Service<Request<Body>>,
{
    pub(super) fn new(client: &'a mut Client<S, C>, request: Result<Request<Body>, Error>) -> Self
    where
        C: Codec,
    {
        let Client { service, codec, .. } = client;
        let mut one_way = false;
        let state = match request {
            Ok(mut request) => {
                ask_for(codec, &mut request);
                one_way = request.cx().is_one_way();
                State::Unmade {
                    service,
                    request: Some(request),
                }
            }
            Err(error) => State::Failed { error: Some(error) },
        };
        Self {
            state,
            codec,
            one_way,
            answer: PhantomData,
        }
    }

    /// How long to wait for the answer, from now. It travels with the call, and what is nested in it inherits
    /// it. Default: what the stack sets; 20 s in the [default one](super::DefaultStack), nothing over a bare
    /// [`Channel`](super::Channel).
    ///
    /// The connection keeps it, or a timeout layer. Over a service that knows neither it is not kept.
    /// [`Duration::MAX`] is for as long as it takes, whatever the client's default.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|request| {
            request.cx_mut().set_timeout(timeout);
        })
    }

    /// Until when to wait for the answer. As [`timeout`](Self::timeout).
    pub fn deadline(self, deadline: Instant) -> Self {
        self.with(|request| {
            request.cx_mut().set_deadline(deadline);
        })
    }

    /// Sets a name and a value that travel with the call, as [`Metadata::insert`](crate::Metadata::insert).
    pub fn metadata(self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) -> Self {
        self.with(|request| request.metadata_mut().insert(name, value))
    }

    /// The key that steers the call to one replica of many. Default: none.
    pub fn shard_key(self, key: u64) -> Self {
        self.with(|request| {
            request.cx_mut().set_shard_key(key);
        })
    }

    /// Declares whether running the call twice is as good as running it once, so that it may be tried again where
    /// nobody knows if it ran. Default: what layers and policies say of the method, or else false.
    pub fn idempotent(self, idempotent: bool) -> Self {
        self.with(|request| {
            request.cx_mut().set_idempotent(idempotent);
        })
    }

    /// Whether to fail at once where the call would otherwise wait, until its deadline, for a replica that cannot be
    /// reached. Where that is not known yet, since a first dial is under way, it waits for the verdict and no longer.
    /// Default: false, unless [the client](super::ClientBuilder::fail_fast) says otherwise.
    pub fn fail_fast(self, fail_fast: bool) -> Self {
        self.with(|request| {
            request.cx_mut().set_fail_fast(fail_fast);
        })
    }

    fn with(mut self, set: impl FnOnce(&mut Request<Body>)) -> Self {
        if let State::Unmade {
            request: Some(request),
            ..
        } = &mut self.state
        {
            set(request);
        }
        self
    }
}

impl<T, S, C> Call<'_, T, S, C>
where
    T: Answer,
    S: RpcService + Clone + Send + 'static,
    C: Codec,
{
    /// Makes the call now and lets it run, on a clone of the service. The handle can be awaited, by several
    /// tasks if it is cloned; dropping the last one cancels the call.
    ///
    /// Over a connection, and over any stack that is ready, the request is on its way when this returns, in the
    /// order of the starts. If the stack is not ready, or waits for something inside, a task of its own waits and
    /// sends it then. That task also runs what the layers do after a failure, whether or not anybody awaits.
    ///
    /// # Errors
    /// What failed at once and was never sent: the arguments cannot be encoded, the connection is over, a queue is
    /// full. Or the call was polled before, and so is made: that cancels it, and it may have run.
    ///
    /// # Panics
    /// If called outside of a tokio runtime and there is no answer at once.
    pub fn start(self) -> Result<Started<T, C>, Error> {
        let (codec, one_way) = (self.codec.clone(), self.one_way);
        let (mut service, request) = match self.state {
            State::Unmade {
                service,
                request: Some(request),
            } => (service.clone(), request),
            State::Failed { error: Some(error) } => return Err(error),
            State::Answering { .. } => {
                let error = Error::new(Kind::Invalid, "the call was made before");
                return Err(error.with_execution(Execution::MaybeExecuted));
            }
            State::Failed { error: None } | State::Unmade { request: None, .. } => {
                return Err(Error::new(Kind::Invalid, "the call has failed before"));
            }
        };
        let call = async move {
            poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(Into::into)?;
            let answer = service.call(request).await.map_err(Into::into);
            answer.map(|response| heard(response, one_way))
        };
        match poll_once(call) {
            // Whatever the other side has said, even by now, is an answer.
            Ok(Err(error)) if error.execution() == Execution::NotSent => Err(error),
            Ok(answer) => Ok(Started::ready(answer, codec)),
            Err(ongoing) => Ok(Started::spawn(ongoing, codec)),
        }
    }
}

impl<T, S, C> Future for Call<'_, T, S, C>
where
    T: Answer,
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<Error>,
    C: Codec,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const OVER: &str = "`Call` polled after completion";
        let mut me = self.project();
        loop {
            match me.state.as_mut().project() {
                StateProjection::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect(OVER)));
                }
                StateProjection::Unmade { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let future = service.call(request.take().expect(OVER));
                    me.state.set(State::Answering { future });
                }
                StateProjection::Answering { future } => {
                    let response = ready!(future.poll(cx)).map_err(Into::into)?;
                    let response = heard(response, *me.one_way);
                    return Poll::Ready(T::from_response(response, *me.codec));
                }
            }
        }
    }
}

/// What is heard of a response: of a one-way message, nothing. A service that is no connection may answer it.
fn heard(response: Response<Body>, one_way: bool) -> Response<Body> {
    if one_way {
        Response::default()
    } else {
        response
    }
}

impl<T, S, C> fmt::Debug for Call<'_, T, S, C>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut call = f.debug_struct("Call");
        match &self.state {
            State::Failed { error } => call.field("error", error),
            State::Unmade { request, .. } => call.field("request", request),
            State::Answering { .. } => call.field("request", &"made"),
        };
        call.finish_non_exhaustive()
    }
}
