//! What a client does, one function for each act. Each takes the stack of layers and the account.

use std::time::Duration;

use futures_util::future::join_all;
use steeple::{Body, Carry, Channel, Error, Execution, Kind, Request, Response, ServerHandle};
use tokio::{task::JoinSet, time::Instant};
use tower::{Service, ServiceExt};

use crate::{
    Client,
    account::Account,
    service::{GOOD_MORNING, LONG_NAP, NOT_A_NUMBER, SHORT_NAP},
    verdict::{Verdict, is_body, is_error},
};

const CALLERS: usize = 250;
const CALLS_OF_EACH: usize = 400;
/// How often what is not about speed is done.
const TIMES: usize = 100;
const LARGE_BODIES: u8 = 8;
const LARGE: usize = 8 << 20;

/// 100 000 calls by many tasks, each with a clone of the stack. All share one connection, and what they send
/// at one moment is one write.
pub(crate) async fn pipelining(client: &Client, account: &mut Account) {
    let before = account.traffic();
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(call_in_a_row(client.clone(), caller));
    }
    let calls = callers.join_all().await.concat();
    let took = begun.elapsed();

    account.act(
        "pipelining",
        format!("{CALLERS} callers, each waits for its answers"),
    );
    account.rate(calls.len(), took);
    account.latencies(&calls);
    account.few_writes(&before, calls.len());
    account.answered(Ok(()), calls);
}

/// The time that each call took, or what was wrong with its answer.
async fn call_in_a_row(mut client: Client, caller: usize) -> Vec<Verdict<Duration>> {
    let mut verdicts = Vec::with_capacity(CALLS_OF_EACH);
    for call in 0..CALLS_OF_EACH {
        let body = Body::from(format!("call {call} of caller {caller}"));
        let begun = Instant::now();
        let verdict = echo(&mut client, body).await;
        verdicts.push(verdict.map(|()| begun.elapsed()));
    }
    verdicts
}

/// One call, in the two steps that tower knows: wait until the stack is ready, then call it.
async fn echo(client: &mut Client, body: Body) -> Verdict {
    let request = Request::new("echo", body.clone());
    let answer = match client.ready().await {
        Ok(ready) => ready.call(request).await,
        Err(error) => Err(error),
    };
    is_body(answer, &body)
}

/// A result that is computed from what was sent. `oneshot` does both steps of a call on a clone of its own.
pub(crate) async fn computation(client: &Client, account: &mut Account) {
    let verdicts = join_all((1..=TIMES).map(async |n| {
        let numbers: Vec<_> = (1..=n).map(|n| n.to_string()).collect();
        let request = Request::new("sum", numbers.join(" ").into());
        let answer = client.clone().oneshot(request).await;
        is_body(answer, &(n * (n + 1) / 2).to_string().into())
    }));
    account.act("computation", format!("{TIMES} sums"));
    account.answered(Ok(()), verdicts.await);
}

/// The application says no: that is an answer too, with a code of its own.
pub(crate) async fn application_errors(client: &Client, account: &mut Account) {
    let verdicts = join_all((0..TIMES).map(async |_| {
        let request = Request::new("sum", Body::from("1 two 3"));
        let error = is_error(client.clone().oneshot(request).await, Kind::Application)?;
        match error.as_application().map(|application| application.code()) {
            Some(NOT_A_NUMBER) => Ok(()),
            other => Err(format!("{other:?} is not the code")),
        }
    }));
    account.act(
        "application errors",
        format!("{TIMES} with code {NOT_A_NUMBER}"),
    );
    account.answered(Err(Kind::Application), verdicts.await);
}

/// Dropping the future of a call is all it takes.
pub(crate) async fn cancelling(client: &Client, account: &mut Account) {
    let naps = begin_naps(client.clone(), LONG_NAP, account).await;
    account.act(
        "cancelling",
        format!("{TIMES} calls dropped while their handlers ran"),
    );
    account.answered(
        Err(Kind::Cancelled),
        naps.into_iter().map(|nap| nap.map(drop)),
    );
}

/// Calls that have been made, and whose handlers run.
async fn begin_naps(
    mut client: Client,
    length: &'static str,
    account: &mut Account,
) -> Vec<Verdict<impl Future<Output = Result<Response, Error>> + use<>>> {
    let mut naps = Vec::new();
    for _ in 0..TIMES {
        let ready = client.ready().await.map_err(|error| format!("{error:?}"));
        naps.push(ready.map(|client| client.call(Request::new("nap", length.into()))));
    }
    // It goes out behind them, so once it is answered they have begun.
    let fence = echo(&mut client, Body::from("are they asleep?")).await;
    account.answered(Ok(()), [fence]);
    naps
}

/// A deadline ends the call on both sides.
pub(crate) async fn deadlines(client: &Client, account: &mut Account) {
    let patience = Duration::from_millis(20);
    let verdicts = join_all((0..TIMES).map(async |_| {
        let mut request = Request::new("nap", LONG_NAP.into());
        request.cx_mut().set_timeout(patience);
        let begun = Instant::now();
        is_error(client.clone().oneshot(request).await, Kind::Timeout)?;
        Ok(begun.elapsed())
    }));
    let verdicts = verdicts.await;
    account.act("deadlines", format!("{TIMES} of {patience:?}"));
    account.latencies(&verdicts);
    account.answered(Err(Kind::Timeout), verdicts);
}

/// Large bodies go in chunks, and small calls pass between these.
pub(crate) async fn large_bodies(client: &Client, account: &mut Account) {
    let mut sender = client.clone();
    let large = async {
        let mut verdicts = Vec::new();
        for n in 0..LARGE_BODIES {
            verdicts.push(echo(&mut sender, vec![n; LARGE].into()).await);
        }
        verdicts
    };
    let (large, small) = tokio::join!(large, call_in_a_row(client.clone(), 0));

    account.act(
        "large bodies",
        format!(
            "{LARGE_BODIES} of {} MiB, and small calls beside them",
            LARGE >> 20
        ),
    );
    account.latencies(&small);
    account.answered(Ok(()), small);
    account.answered(Ok(()), large);
}

/// The server calls the client that called it, over the same connection.
pub(crate) async fn calls_from_the_server(client: &Client, account: &mut Account) {
    let verdicts = join_all((0..TIMES).map(async |_| {
        let answer = client.clone().oneshot(Request::new("greet", Body::empty()));
        is_body(answer.await, &Body::from("hello, quickstart"))
    }));
    account.act(
        "calls from the server",
        format!("{TIMES}, within as many of the client"),
    );
    account.answered(Ok(()), verdicts.await);
}

/// A server that ends in order answers what it was asked, and takes nothing more. What comes too late has not
/// been sent, so it can go to another server.
pub(crate) async fn draining(
    channel: &Channel,
    client: &Client,
    server: &ServerHandle,
    account: &mut Account,
) {
    let naps = begin_naps(client.clone(), SHORT_NAP, account).await;
    server.drain().await;
    let verdicts = join_all(
        naps.into_iter()
            .map(async |nap| is_body(nap?.await, &GOOD_MORNING.into())),
    );
    account.act(
        "draining",
        format!("{TIMES} calls end, the next is not sent"),
    );
    account.answered(Ok(()), verdicts.await);

    channel.closed().await;
    let late = Request::new("echo", Body::empty());
    match client.clone().oneshot(late).await {
        Err(error) if error.execution() == Execution::NotSent => {}
        other => account.wrong(format!("{other:?} of a server that is gone")),
    }
}
