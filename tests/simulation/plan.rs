//! What is planned for one call: what its handler is to do, and what its caller.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use steeple::{Application, Body, Error, Execution, Kind, Request, Response};

use super::climate::{Setting, one_in, pick};

/// What a handler is asked for. It travels with the call, in the method and the metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) id: u64,
    pub(crate) act: Act,
    /// Bytes in the request.
    pub(crate) len: u32,
    /// Bytes in the answer, unless it is the request's.
    pub(crate) reply: u32,
    /// How long the handler takes: nothing, a few turns of the runtime, or milliseconds.
    pub(crate) wait: u16,
}

/// What a handler does when it has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Answers with the body of the request.
    Echo,
    /// Answers with another body.
    Reply,
    /// Answers with an error of its own.
    Fail,
    /// Is never begun: a layer refuses the call.
    Refuse,
    Panic,
    Never,
    /// Calls back, and says that it ran, whatever came of that.
    Back,
    /// Calls back, and passes the error on as it is.
    PassOn,
}

/// What the caller does meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) timeout: Option<Duration>,
    pub(crate) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Wait,
    /// Gives up after so many turns of the runtime.
    DropAfterTurns(u8),
    DropAfter(Duration),
    Detach,
}

const ACTS: [(Act, &str); 8] = [
    (Act::Echo, "echo"),
    (Act::Reply, "reply"),
    (Act::Fail, "fail"),
    (Act::Refuse, "refuse"),
    (Act::Panic, "panic"),
    (Act::Never, "never"),
    (Act::Back, "back"),
    (Act::PassOn, "pass on"),
];

/// The name of a plan in the metadata.
const PLAN: &str = "plan";

/// Waits up to this are turns of the runtime, longer ones milliseconds.
const TURNS: u16 = 3;

/// The longest body of a world that is not fine.
const LONGEST: usize = 300 * 1024;

/// Noise from which all bodies are cut.
static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(0);
    (0..2 * LONGEST).map(|_| rng.u8(..)).collect()
});

impl Plan {
    /// A plan, of which nothing is left to do at the end if the terms bound it.
    pub(crate) fn draw(rng: &mut Rng, setting: Setting, terms: Terms, may_nest: bool) -> Self {
        let bounded = terms.timeout.is_some() || matches!(terms.fate, Fate::DropAfter(_));
        let act = match rng.u8(0..16) {
            0..6 => Act::Echo,
            6 => Act::Fail,
            7 => Act::Refuse,
            8 => Act::Panic,
            9 if bounded => Act::Never,
            10 | 11 if may_nest => Act::Back,
            12 if may_nest => Act::PassOn,
            _ => Act::Reply,
        };
        Self {
            id: rng.u64(..),
            act,
            len: length(rng, setting),
            reply: length(rng, setting),
            wait: pick(rng, &[0, 0, 0, 1, 2, 3, 4, 5, 10, 30, 50]),
        }
    }

    /// The call that a handler makes: an echo.
    pub(crate) fn nested(&self) -> Self {
        Self {
            id: self.id.rotate_left(17) ^ 0x5EED,
            act: Act::Echo,
            wait: self.wait / 2,
            ..*self
        }
    }

    pub(crate) fn request(&self) -> Request {
        let (_, method) = ACTS.into_iter().find(|(act, _)| *act == self.act).unwrap();
        let mut request = Request::new(method, body(self.id, self.len));
        let mut plan = Vec::new();
        plan.extend(self.id.to_le_bytes());
        plan.extend(self.len.to_le_bytes());
        plan.extend(self.reply.to_le_bytes());
        plan.extend(self.wait.to_le_bytes());
        request.metadata_mut().insert(PLAN, plan);
        request
    }

    /// The plan of a call that came in; `None` if it cannot be read.
    pub(crate) fn read(request: &Request) -> Option<Self> {
        let (act, _) = ACTS
            .into_iter()
            .find(|(_, name)| request.method() == name)?;
        let plan = request.metadata().get(PLAN)?;
        let (id, plan) = plan.split_first_chunk()?;
        let (len, plan) = plan.split_first_chunk()?;
        let (reply, plan) = plan.split_first_chunk()?;
        Some(Self {
            id: u64::from_le_bytes(*id),
            act,
            len: u32::from_le_bytes(*len),
            reply: u32::from_le_bytes(*reply).min(LONGEST as u32),
            wait: u16::from_le_bytes(*plan.first_chunk()?),
        })
    }

    /// The body of the request.
    pub(crate) fn body(&self) -> Body {
        body(self.id, self.len)
    }

    /// What is answered if the handler ends well.
    pub(crate) fn answer(&self) -> Body {
        match self.act {
            Act::Reply => body(!self.id, self.reply),
            Act::Back | Act::PassOn => self.nested().body(),
            _ => self.body(),
        }
    }

    /// The error of a handler that fails.
    pub(crate) fn error(&self) -> Error {
        Error::application(self.id as u16 % Application::MAX_CODE, "as planned")
    }

    /// Takes the time that the handler is to take.
    pub(crate) async fn pause(&self) {
        match self.wait.checked_sub(TURNS) {
            Some(ms @ 1..) => tokio::time::sleep(Duration::from_millis(ms.min(100).into())).await,
            _ => turns(self.wait).await,
        }
    }

    /// Whether a call ended as it does when nothing comes between.
    pub(crate) fn is_fulfilled_by(&self, result: &Result<Response, Error>) -> bool {
        let error = result
            .as_ref()
            .map_err(|error| (error.kind(), error.execution()));
        match (self.act, error) {
            (Act::Echo | Act::Reply | Act::Back | Act::PassOn, Ok(response)) => {
                *response.body() == self.answer()
            }
            (Act::Fail, Err(how)) => {
                let code = |error: &Error| error.as_application().map(Application::code);
                how == (Kind::Application, Execution::Executed)
                    && code(result.as_ref().unwrap_err()) == code(&self.error())
            }
            (Act::Refuse, Err(how)) => how == (Kind::Unavailable, Execution::NotStarted),
            (Act::Panic, Err(how)) => how == (Kind::Internal, Execution::MaybeExecuted),
            _ => false,
        }
    }
}

impl Terms {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let ms = |rng: &mut Rng| Duration::from_millis(rng.u64(0..60));
        Self {
            timeout: one_in(rng, 4).then(|| ms(rng)),
            fate: match rng.u8(0..12) {
                0 => Fate::DropAfterTurns(rng.u8(0..5)),
                1 | 2 => Fate::DropAfter(ms(rng)),
                3 => Fate::Detach,
                _ => Fate::Wait,
            },
        }
    }

    /// Gives the request of a plan its deadline, by one way or the other.
    pub(crate) fn apply(&self, request: &mut Request) {
        let Some(timeout) = self.timeout else {
            return;
        };
        if timeout.as_millis() % 2 == 0 {
            request.cx_mut().set_timeout(timeout);
        } else {
            let deadline = tokio::time::Instant::now() + timeout;
            request.cx_mut().set_deadline(deadline);
        }
    }
}

/// Lets the other tasks go first, so many times.
pub(crate) async fn turns(count: u16) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

fn length(rng: &mut Rng, setting: Setting) -> u32 {
    let most = match (rng.u8(0..40), setting.fine) {
        (0..8, _) => 1,
        (8..18, _) => 60,
        (18..31, _) | (31..39, true) => 3000,
        (31..37, false) => 140_000,
        (_, true) => 70_000,
        (_, false) => LONGEST as u32,
    };
    rng.u32(0..most)
}

fn body(id: u64, len: u32) -> Body {
    let from = (id % LONGEST as u64) as usize;
    let len = (len as usize).min(LONGEST);
    NOISE.slice(from..from + len).into()
}
