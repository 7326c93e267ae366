//! How both processes run: on which CPUs, and on which runtime.

use std::future::{Future, pending};
use std::{fmt, process, thread};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::Error;
use crate::cli::{Cli, Role, Runtime};
use crate::peers::Subject;

/// As many as the machines this runs on have for each of the two processes.
const WORKERS: usize = 2;

/// Keeps a started process on one CPU, where that is part of what is measured.
///
/// `std` with one connection has one thread on each side, and is four times as fast whenever the scheduler happens
/// to put both on one CPU, where neither ever sleeps. So that its rounds agree, it gets one CPU for each side.
pub(super) fn place(cli: &Cli) -> Result<(), Error> {
    let workload = cli.only_workload()?;
    let cpu = match (workload.pinned, cli.only_peer()?, cli.role) {
        (true, ..) => 0,
        (false, Subject::Std, Some(Role::Server)) if workload.connections == 1 => 0,
        (false, Subject::Std, Some(Role::Client)) if workload.connections == 1 => 1,
        _ => return Ok(()),
    };
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

/// Lets this process have as many sockets as the system allows.
pub(super) fn raise_descriptors() -> Result<(), Error> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Runs `main` as a task of a new runtime, in a thread of its own. If it fails the process ends.
pub(super) fn start<F, E>(runtime: Runtime, main: F) -> Result<(), Error>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: fmt::Display + Send + 'static,
{
    let mut builder = match runtime {
        Runtime::Multi => tokio::runtime::Builder::new_multi_thread(),
        Runtime::Current => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.worker_threads(WORKERS).enable_all().build()?;
    // A task, and not what `block_on` polls: on the multi-threaded runtime that would be a third thread.
    runtime.spawn(async { or_exit(main.await) });
    thread::spawn(move || runtime.block_on(pending::<()>()));
    Ok(())
}

/// Ends the process upon an error: the harness sees its stdout close, and has no row.
pub(crate) fn or_exit<E: fmt::Display>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        eprintln!("{error}");
        process::exit(3);
    }
}
