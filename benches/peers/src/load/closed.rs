//! A caller whose next call begins when the last is answered.

use std::thread;

use bytes::Bytes;
use tokio::runtime;
use tokio::task::JoinSet;

use crate::Error;
use crate::harness::probe::Meter;
use crate::harness::runtime::or_exit;
use crate::peers::Caller;

/// Calls as long as it is `wanted`.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` keeps its arguments twice, and of thousands of callers every line of memory counts"
)]
pub(super) fn run_while<C: Caller>(
    mut caller: C,
    payload: Bytes,
    mut meter: Meter,
    wanted: impl Fn() -> bool + Send,
) -> impl Future<Output = Result<(), Error>> + Send {
    async move {
        while wanted() {
            let began = meter.begin();
            caller.echo(&payload).await?;
            meter.end(began);
        }
        Ok(())
    }
}

/// Callers of one connection in threads of their own: each has a runtime, where only callers are.
pub(super) fn from_threads<C: Caller>(
    caller: C,
    payload: Bytes,
    threads: usize,
    mut meters: Vec<Meter>,
) {
    let each = meters.len().div_ceil(threads);
    while !meters.is_empty() {
        let (caller, payload) = (caller.clone(), payload.clone());
        let meters = meters.split_off(meters.len().saturating_sub(each));
        thread::spawn(move || or_exit(run_here(&caller, &payload, meters)));
    }
}

/// Calls for ever, on this thread.
fn run_here<C: Caller>(caller: &C, payload: &Bytes, meters: Vec<Meter>) -> Result<(), Error> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut callers = JoinSet::new();
        for meter in meters {
            callers.spawn(run_while(caller.clone(), payload.clone(), meter, || true));
        }
        callers.join_next().await.transpose()?.transpose()?;
        Ok(())
    })
}
