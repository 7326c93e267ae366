//! The client process: callers in a closed loop.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use tokio::time::Instant;

use super::probe::{Meter, Probe};
use super::{control, runtime};
use crate::Error;
use crate::cli::Cli;
use crate::peers::{Bare, Blocking, Caller, Peer, Raw, Subject, Tarpc, Tonic};
use crate::workload::Workload;

/// Calls until the harness closes stdin.
pub(crate) fn run(cli: &Cli) -> Result<(), Error> {
    let workload = cli.only_workload()?;
    runtime::place(cli)?;
    let addr = cli.addr.ok_or("a client needs --addr")?;
    let probe = Probe::new(workload.depth());
    let subject = cli.only_peer()?;
    match subject {
        Subject::Std => block(addr, workload, probe),
        Subject::Raw => load::<Raw>(cli, addr, workload, probe)?,
        Subject::Bare => load::<Bare>(cli, addr, workload, probe)?,
        Subject::Tarpc => load::<Tarpc>(cli, addr, workload, probe)?,
        Subject::Tonic => load::<Tonic>(cli, addr, workload, probe)?,
        Subject::Steeple => return Err(subject.missing()),
    }
    control::say("ready")?;
    control::serve(Some(probe))
}

fn block(addr: SocketAddr, workload: Workload, probe: &'static Probe) {
    for connection in 0..workload.connections {
        let meter = probe.meter(connection);
        thread::spawn(move || runtime::or_exit(Blocking::load(addr, workload, &meter)));
    }
}

/// Starts all callers. Returns when every connection is open.
fn load<P: Peer>(
    cli: &Cli,
    addr: SocketAddr,
    workload: Workload,
    probe: &'static Probe,
) -> Result<(), Error> {
    let (connected, ready) = mpsc::channel();
    runtime::start(cli.runtime, async move {
        let payload = Bytes::from(vec![0x5a; workload.payload]);
        for connection in 0..workload.connections {
            let caller = P::connect(addr).await?;
            for index in 0..workload.callers {
                let meter = probe.meter(connection * workload.callers + index);
                let calls = call(
                    caller.clone(),
                    payload.clone(),
                    meter,
                    workload.sample_every(),
                );
                tokio::spawn(async { runtime::or_exit(calls.await) });
            }
        }
        connected.send(())?;
        Ok::<_, Error>(())
    })?;
    Ok(ready.recv()?)
}

/// One caller: the next call begins when the last is answered.
async fn call<C: Caller>(
    mut caller: C,
    payload: Bytes,
    meter: Meter,
    sample_every: u64,
) -> Result<(), Error> {
    loop {
        let began = Instant::now();
        echo(&mut caller, &payload).await?;
        meter.record(began.elapsed(), 1);
        meter.add(1);
        for _ in 1..sample_every {
            echo(&mut caller, &payload).await?;
            meter.add(1);
        }
    }
}

async fn echo<C: Caller>(caller: &mut C, payload: &Bytes) -> Result<(), Error> {
    let reply = caller.call(payload).await?;
    if reply.as_ref().len() == payload.len() {
        Ok(())
    } else {
        Err("not an echo".into())
    }
}
