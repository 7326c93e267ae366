//! A connection without a task: one request at a time, when its owner says so.

use std::{future::poll_fn, io, mem};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};
use tower_service::Service;

use super::{cause::Cause, expansion::Expansion, outbox::check};
use crate::{
    Body, Error, Execution, Kind, Request, Response,
    wire::{
        Capabilities, Decoder, Encoder, Frame, Id, Lane, Out, Reason, Role, Violation, Wire,
        native::Native,
    },
};

/// Serves a stream one request at a time, in the task of its owner: for tools and tests that look on, and for
/// processes that live for one request.
///
/// Between two requests nothing happens: nobody reads, answers pings or keeps time. Timeouts are the owner's, around
/// [`serve_one`](Self::serve_one). Requests find no [`Peer`](crate::Peer): there is nobody to be called.
///
/// ```
/// use steeple::{Channel, Connector, Error, Request, Response, conn::OneByOne};
/// use tower::{Service, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let (near, far) = tokio::io::duplex(1024);
/// let mut client = Connector::new().connect_io(near, None);
/// let answer = client.call(Request::new("Echo", "hello".into()));
///
/// let mut echo = service_fn(|request: Request| async move {
///     Ok::<_, Error>(Response::new(request.into_body()))
/// });
/// let mut connection = OneByOne::new(far);
/// assert!(connection.serve_one(&mut echo).await?);
/// assert_eq!(answer.await?.body().as_bytes(), "hello");
///
/// let (stream, unread) = connection.into_parts();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OneByOne<Io, W: Wire = Native> {
    io: Io,
    encoder: W::Encoder,
    decoder: W::Decoder,
    capabilities: Capabilities,
    input: BytesMut,
    out: Out,
    expansion: Expansion,
}

/// How many bytes are asked for in one read.
const READ: usize = 16 * 1024;

/// Bodies shorter than this are copied into the output.
const FLATTEN_BELOW: usize = 8 * 1024;

impl<Io> OneByOne<Io> {
    /// The accepting side of a stream on which nothing was said yet, by the native wire.
    pub fn new(io: Io) -> Self {
        Self::with_wire(io, Native::default())
    }
}

impl<Io, W: Wire> OneByOne<Io, W> {
    /// The same, by another wire or within other limits.
    pub fn with_wire(io: Io, wire: W) -> Self {
        let capabilities = wire.capabilities();
        let (mut encoder, decoder) = wire.split(Role::Acceptor);
        let mut out = Out::new(FLATTEN_BELOW);
        if !capabilities.hello {
            encoder.hello(&mut out);
        }
        Self {
            io,
            encoder,
            decoder,
            capabilities,
            input: BytesMut::new(),
            out,
            expansion: Expansion::new(None),
        }
    }

    /// The stream, which is left open, and what was read of it beyond the last request. The client goes on in the
    /// midst of the conversation: what serves it from here on has to know what was said.
    pub fn into_parts(self) -> (Io, BytesMut) {
        (self.io, self.input)
    }
}

impl<Io, W> OneByOne<Io, W>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    W: Wire,
{
    /// Reads to the end of the next request, calls `service` and writes the answer. False if the client has
    /// left instead. Bytes behind the request that were read with it are kept for the next one.
    ///
    /// A message without an answer is a request as well. A panic of the service is the caller's.
    ///
    /// Not cancel safe: a stream of which a part was written can serve no more.
    ///
    /// # Errors
    /// [`Kind::Connection`]: the stream fails, or ends in the midst of a request; or the client breaks the protocol,
    /// and was told so. What the service fails with goes to the client.
    pub async fn serve_one<S>(&mut self, service: &mut S) -> Result<bool, Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
        S::Error: Into<Error>,
    {
        loop {
            while let Some(frame) = self.decode().await? {
                match frame {
                    Frame::Request {
                        id,
                        remaining,
                        mut request,
                    } => {
                        let deadline = remaining.and_then(|left| Instant::now().checked_add(left));
                        request.cx_mut().set_deadline(deadline);
                        let result = self.call(service, request).await?;
                        self.answer(id, result).await?;
                        return Ok(true);
                    }
                    Frame::Refused { id, error } => {
                        self.answer(id, Err(error)).await?;
                        return Ok(true);
                    }
                    Frame::OneWay(request) => {
                        // Nobody hears what comes of it.
                        let _unheard = self.call(service, request).await?;
                        return Ok(true);
                    }
                    Frame::Offer => self.encoder.preface(&mut self.out),
                    Frame::Hello(hello) => {
                        self.encoder.peer_hello(&hello);
                        self.encoder.hello(&mut self.out);
                    }
                    Frame::Ping(nonce) => self.encoder.pong(nonce, &mut self.out),
                    Frame::GoAway {
                        reason: Reason::Shutdown,
                        ..
                    } => self.encoder.go_away(Reason::Ack, "", &mut self.out),
                    Frame::GoAway { reason, .. } if reason != Reason::Ack => return Ok(false),
                    // What is taken back was answered before it was read; nothing was asked of the client.
                    Frame::Cancel { .. }
                    | Frame::Pong(_)
                    | Frame::Response { .. }
                    | Frame::GoAway { .. } => {}
                }
            }
            self.write().await?;
            self.input.reserve(READ);
            let read = self.io.read_buf(&mut self.input).await;
            if read.map_err(|error| Cause::read(error).error(true))? == 0 {
                return self.end_of_input();
            }
        }
    }

    /// Calls the service. Before that, the client gets what there is for it: it may wait for that, and a handler for
    /// the client.
    async fn call<S>(
        &mut self,
        service: &mut S,
        mut request: Request<Body>,
    ) -> Result<Result<Response<Body>, Error>, Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
        S::Error: Into<Error>,
    {
        self.write().await?;
        match self.expansion.expand(request.body_mut()) {
            Ok(_expanded) => Ok(answer_of(service, request, self.capabilities).await),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn decode(&mut self) -> Result<Option<Frame>, Error> {
        match self.decoder.decode(&mut self.input) {
            Ok(frame) => Ok(frame),
            Err(violation) => Err(self.give_up(violation).await),
        }
    }

    /// Tells the client what was wrong, if it still listens.
    async fn give_up(&mut self, violation: Violation) -> Error {
        let reason = violation.reason();
        let cause = Cause::violation(violation);
        let text = cause.to_string();
        if self.capabilities.drain {
            self.encoder.go_away(reason, &text, &mut self.out);
        }
        match self.write().await {
            Ok(()) => cause.error(true),
            Err(error) => error,
        }
    }

    fn end_of_input(&self) -> Result<bool, Error> {
        if self.input.is_empty() && self.decoder.is_between_frames() {
            return Ok(false);
        }
        let cause = Cause::lost("the peer closed the connection in the midst of a message");
        Err(cause.error(true))
    }

    async fn answer(&mut self, id: Id, result: Result<Response<Body>, Error>) -> Result<(), Error> {
        let lane = match self.encoder.response(id, result.as_ref(), &mut self.out) {
            Ok(lane) => lane,
            Err(error) => {
                let lane = self.encoder.response(id, Err(&error), &mut self.out);
                debug_assert!(lane.is_ok(), "an error answer is shortened, not refused");
                lane.unwrap_or(Lane::Whole)
            }
        };
        if lane == Lane::Bulk {
            while self.encoder.next_chunk(&mut self.out).is_some() {
                self.write().await?;
            }
        }
        self.write().await
    }

    /// Writes what there is.
    async fn write(&mut self) -> Result<(), Error> {
        if !self.out.has_remaining() {
            return Ok(());
        }
        let mut out = mem::take(&mut self.out);
        let written: io::Result<()> = async {
            self.io.write_all_buf(&mut out).await?;
            self.io.flush().await
        }
        .await;
        self.out = Out::new(FLATTEN_BELOW);
        written.map_err(|error| Cause::write(error).error(true))
    }
}

/// What the service answers within the deadline, in the encoding that was asked for.
async fn answer_of<S>(
    service: &mut S,
    request: Request<Body>,
    carried: Capabilities,
) -> Result<Response<Body>, Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<Error>,
{
    let (encoding, deadline) = (request.encoding(), request.cx().deadline());
    let ready = async {
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(|error| error.into().with_execution(Execution::NotStarted))
    };
    within(deadline, Execution::NotStarted, ready).await?;
    let handler = service.call(request);
    let answer = async { handler.await.map_err(Into::into) };
    let response = within(deadline, Execution::MaybeExecuted, answer).await?;
    check(&response, encoding, carried)?;
    Ok(response)
}

async fn within<T>(
    deadline: Option<Instant>,
    execution: Execution,
    what: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(deadline) = deadline else {
        return what.await;
    };
    let late = |_| Error::new(Kind::Timeout, "the deadline passed").with_execution(execution);
    timeout_at(deadline, what).await.map_err(late)?
}
