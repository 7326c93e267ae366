//! What a client does, one function for each act.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use steeple::{Channel, ErrorExt, Execution, Kind, ServerHandle, Started};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Stack,
    account::Account,
    api::{DIVISION_BY_ZERO, Division, LONG_NAP, Note, SHORT_NAP},
    verdict::{Verdict, is_error, is_value},
};

/// Values over a stack. Cheap to clone: one for each task.
type Client = steeple::Client<Stack>;

const CALLERS: u32 = 250;
const CALLS_OF_EACH: u32 = 400;
/// How often what is not about speed is done.
const TIMES: u64 = 100;
const LARGE_BODIES: u8 = 8;
const LARGE: usize = 8 << 20;

/// 100 000 calls by many tasks, each with a clone of the client. All share one connection, and what they send
/// at one moment is one write.
pub(crate) async fn pipelining(client: &Client, account: &mut Account) {
    let before = account.traffic();
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(echo_in_a_row(client.clone(), caller));
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
async fn echo_in_a_row(mut client: Client, caller: u32) -> Vec<Verdict<Duration>> {
    let mut verdicts = Vec::with_capacity(CALLS_OF_EACH as usize);
    for call in 0..CALLS_OF_EACH {
        let text = "What goes out comes back.".to_owned();
        let note = Note { caller, call, text };
        let begun = Instant::now();
        let verdict = is_value(client.call("echo", &note).await, &note);
        verdicts.push(verdict.map(|()| begun.elapsed()));
    }
    verdicts
}

/// A result that is computed from what was sent.
pub(crate) async fn computation(client: &Client, account: &mut Account) {
    let verdicts = join_all((1..=TIMES).map(async |divisor| {
        let division = Division {
            dividend: 1_000_000,
            divisor,
        };
        let answer = client.clone().call("divide", &division).await;
        is_value(answer, &(division.dividend / divisor))
    }));
    account.act("computation", format!("{TIMES} divisions"));
    account.answered(Ok(()), verdicts.await);
}

/// The application says no: that is an answer too, with a code and details of its own.
pub(crate) async fn application_errors(client: &Client, account: &mut Account) {
    let verdicts = join_all((1..=TIMES).map(async |dividend| {
        let division = Division {
            dividend,
            divisor: 0,
        };
        let answer = client.clone().call::<u64>("divide", &division).await;
        let error = is_error(answer, Kind::Application)?;
        let code = error.as_application().map(|application| application.code());
        match (code, error.decode_details::<Division>()) {
            (Some(DIVISION_BY_ZERO), Some(details)) => is_value(details, &division),
            _ => Err(format!("{error:?} is not of the application")),
        }
    }));
    account.act("application errors", format!("{TIMES} divisions by zero"));
    account.answered(Err(Kind::Application), verdicts.await);
}

/// Dropping the answer of a call is all it takes.
pub(crate) async fn cancelling(client: &Client, account: &mut Account) {
    let naps = begin_naps(client, LONG_NAP, account).await;
    account.act("cancelling", format!("{TIMES} calls whose handlers ran"));
    account.answered(
        Err(Kind::Cancelled),
        naps.into_iter().map(|nap| nap.map(drop)),
    );
}

/// Calls that have been made, and whose handlers run.
async fn begin_naps(
    client: &Client,
    length: Duration,
    account: &mut Account,
) -> Vec<Verdict<Started<Duration>>> {
    let mut client = client.clone();
    let naps = (0..TIMES).map(|_| {
        let nap = client.call("nap", &length).start();
        nap.map_err(|error| format!("{error:?}"))
    });
    let naps = naps.collect();
    // It goes out behind them, so once it is answered they have begun.
    let fence = "are they asleep?".to_owned();
    account.answered(
        Ok(()),
        [is_value(client.call("echo", &fence).await, &fence)],
    );
    naps
}

/// A deadline ends the call on both sides.
pub(crate) async fn deadlines(client: &Client, account: &mut Account) {
    let patience = Duration::from_millis(20);
    let naps = join_all((0..TIMES).map(async |_| {
        let mut client = client.clone();
        let begun = Instant::now();
        let nap = client.call::<Duration>("nap", &LONG_NAP);
        is_error(nap.timeout(patience).await, Kind::Timeout)?;
        Ok(begun.elapsed())
    }));
    let verdicts = naps.await;
    account.act("deadlines", format!("{TIMES} of {patience:?}"));
    account.latencies(&verdicts);
    account.answered(Err(Kind::Timeout), verdicts);
}

/// Large bodies go in chunks, and small calls pass between these. Bytes travel as they are.
pub(crate) async fn large_bodies(client: &Client, account: &mut Account) {
    let mut sender = client.clone();
    let large = async {
        let mut verdicts = Vec::new();
        for n in 0..LARGE_BODIES {
            let bytes = Bytes::from(vec![n; LARGE]);
            verdicts.push(is_value(sender.call("echo", bytes.clone()).await, &bytes));
        }
        verdicts
    };
    let (large, small) = tokio::join!(large, echo_in_a_row(client.clone(), 0));

    let size = LARGE >> 20;
    account.act(
        "large bodies",
        format!("{LARGE_BODIES} of {size} MiB, small calls beside them"),
    );
    account.latencies(&small);
    account.answered(Ok(()), small);
    account.answered(Ok(()), large);
}

/// The server calls the client that called it, over the same connection.
pub(crate) async fn calls_from_the_server(client: &Client, account: &mut Account) {
    let verdicts = join_all((0..TIMES).map(async |_| {
        let greeting = client.clone().call("greet", &()).await;
        is_value(greeting, &"hello, quickstart".to_owned())
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
    let naps = begin_naps(client, SHORT_NAP, account).await;
    server.drain().await;
    let verdicts = join_all(naps.into_iter().map(async |nap| match nap?.await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:?} of a call under way")),
    }));
    account.act(
        "draining",
        format!("{TIMES} calls end, the next is not sent"),
    );
    account.answered(Ok(()), verdicts.await);

    channel.closed().await;
    match client.clone().call::<Duration>("nap", &SHORT_NAP).await {
        Err(error) if error.execution() == Execution::NotSent => {}
        other => account.wrong(format!("{other:?} of a server that is gone")),
    }
}
