//! The client process: its connections and their callers.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use super::probe::Probe;
use super::{control, runtime};
use crate::cli::{Cli, Runtime};
use crate::peers::{Bare, Blocking, Peer, Raw, Steeple, Subject, Tarpc, Tonic};
use crate::workload::Workload;
use crate::{Error, load};

/// Calls until the harness closes stdin.
pub(crate) fn run(cli: &Cli) -> Result<(), Error> {
    let workload = cli.only_workload()?;
    runtime::place(cli)?;
    runtime::raise_descriptors()?;
    let probe = Probe::new(workload.depth(), workload.sample_every());
    if let Some(stack) = cli.stack.clone() {
        let started = async move { load::stack::start(&stack, workload, probe) };
        runtime::start(Runtime::Current, started)?;
        control::say("ready")?;
        return control::serve(Some(probe));
    }
    let addr = cli.addr.ok_or("a client needs --addr")?;
    match cli.only_peer()? {
        Subject::Std => block(addr, workload, probe),
        Subject::Raw => connect::<Raw>(cli, addr, workload, probe)?,
        Subject::Bare => connect::<Bare>(cli, addr, workload, probe)?,
        Subject::Steeple => connect::<Steeple>(cli, addr, workload, probe)?,
        Subject::Tarpc => connect::<Tarpc>(cli, addr, workload, probe)?,
        Subject::Tonic => connect::<Tonic>(cli, addr, workload, probe)?,
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

/// Opens all connections and starts their callers.
fn connect<P: Peer>(
    cli: &Cli,
    addr: SocketAddr,
    workload: Workload,
    probe: &'static Probe,
) -> Result<(), Error> {
    let (connected, ready) = mpsc::channel();
    runtime::start(cli.runtime, async move {
        load::start::<P>(addr, workload, probe).await?;
        connected.send(())?;
        Ok::<_, Error>(())
    })?;
    Ok(ready.recv()?)
}
