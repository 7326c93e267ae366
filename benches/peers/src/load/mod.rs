//! How a client calls: one file per shape of workload.

mod batch;
mod beside;
pub(crate) mod bytes;
mod closed;
mod json;
mod messages;
mod oneway;
mod open;
pub(crate) mod stack;
mod typed;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::sleep;

use crate::Error;
use crate::harness::probe::{Phase, Probe};
use crate::harness::runtime::or_exit;
use crate::peers::{Caller, Peer};
use crate::workload::{Shape, Workload};

/// Callers that begin at once. A burst of more is not what the workloads are about, and would be refused by those whose
/// queues have a bound.
const TOGETHER: usize = 4096;

/// How long the next wait, for the first to have been sent.
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the connections of a workload and starts the callers on each.
pub(crate) async fn start<P: Peer>(
    server: SocketAddr,
    workload: Workload,
    probe: &'static Probe,
) -> Result<(), Error> {
    for connection in 0..workload.connections {
        connect::<P>(server, workload, probe, connection).await?;
    }
    Ok(())
}

/// Opens one connection, whose place among all is `connection`, and starts its callers.
async fn connect<P: Peer>(
    addr: SocketAddr,
    workload: Workload,
    probe: &'static Probe,
    connection: usize,
) -> Result<(), Error> {
    let over = workload.over;
    let mut caller = P::connect(addr, over).await?;
    let payload = Bytes::from(vec![0x5a; workload.payload]);
    let first = connection * workload.callers;
    let meters = (first..first + workload.callers).map(|index| probe.meter(index));
    match workload.shape {
        Shape::Closed | Shape::Settings => {
            for (index, meter) in meters.enumerate() {
                if index > 0 && index % TOGETHER == 0 {
                    sleep(PAUSE).await;
                }
                // A body of its own, as callers have in life: else all would count the references of one.
                let (caller, payload) = (caller.clone(), Bytes::copy_from_slice(&payload));
                spawn(closed::run_while(caller, payload, meter, || true));
            }
        }
        Shape::Idle => {
            caller.echo(&payload).await?;
            // Dropping the last handle would close the connection.
            std::mem::forget(caller);
        }
        Shape::Beside => {
            for meter in meters {
                let (caller, payload) = (caller.clone(), payload.clone());
                spawn(open::steadily(caller, payload, meter, beside::CALLS_PER_S));
            }
            spawn(beside::transfer(caller, probe));
        }
        Shape::Open => spawn(open::run(caller, payload, workload, probe)),
        Shape::Batch => {
            for meter in meters {
                spawn(batch::run(caller.clone(), payload.clone(), meter));
            }
        }
        Shape::Bytes(content) => {
            let messages: Arc<[Bytes]> = messages::messages(content)?.into();
            let counted = P::connect(bytes::proxy(addr, probe).await?, over).await?;
            // Far apart, or each message would come once from every caller before a compressor has forgotten it.
            let apart = messages.len() / workload.callers;
            for (index, mut meter) in meters.enumerate() {
                let first = index * apart;
                let (caller, counted) = (caller.clone(), counted.clone());
                let messages = messages.clone();
                let uncounted = || probe.phase() == Phase::First;
                spawn(async move {
                    bytes::run_while(caller, &messages, first, &mut meter, uncounted).await?;
                    bytes::run_while(counted, &messages, first, &mut meter, || true).await
                });
            }
        }
        Shape::Json => {
            for meter in meters {
                spawn(json::run(caller.clone(), meter));
            }
        }
        Shape::OneWay => {
            for meter in meters {
                spawn(oneway::run(caller.clone(), payload.clone(), meter));
            }
        }
        Shape::Typed(format) => {
            let counted = P::connect(bytes::proxy(addr, probe).await?, over).await?;
            for mut meter in meters {
                let (caller, counted) = (caller.clone(), counted.clone());
                let uncounted = || probe.phase() == Phase::First;
                spawn(async move {
                    typed::run_while(caller, format, &mut meter, uncounted).await?;
                    typed::run_while(counted, format, &mut meter, || true).await
                });
            }
        }
        Shape::Threads(threads) => closed::from_threads(caller, payload, threads, meters.collect()),
        Shape::Stack => return Err("a stack has no connection".into()),
    }
    Ok(())
}

/// A caller that fails ends the process: a run in which some callers are gone is no measurement.
fn spawn(calls: impl Future<Output = Result<(), Error>> + Send + 'static) {
    // Not an `async` block, which would hold them twice.
    tokio::spawn(calls.map(or_exit));
}
