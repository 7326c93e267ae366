//! The server process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use super::control;
use super::runtime;
use crate::Error;
use crate::cli::Cli;
use crate::peers::{Bare, Blocking, Handler, Peer, Raw, Steeple, Subject, Tarpc, Tonic};

/// Serves until the harness closes stdin.
pub(crate) fn run(cli: &Cli) -> Result<(), Error> {
    let workload = cli.only_workload()?;
    runtime::place(cli)?;
    runtime::raise_descriptors()?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let addr = listener.local_addr()?;
    match cli.only_peer()? {
        Subject::Std => {
            thread::spawn(move || runtime::or_exit(Blocking::serve(&listener, workload)));
        }
        Subject::Raw => serve::<Raw>(cli, listener)?,
        Subject::Bare => serve::<Bare>(cli, listener)?,
        Subject::Steeple => serve::<Steeple>(cli, listener)?,
        Subject::Tarpc => serve::<Tarpc>(cli, listener)?,
        Subject::Tonic => serve::<Tonic>(cli, listener)?,
    }
    control::say(&addr.to_string())?;
    control::serve(None)
}

fn serve<P: Peer>(cli: &Cli, listener: TcpListener) -> Result<(), Error> {
    let workload = cli.only_workload()?;
    let handler = Handler::of(workload.shape);
    listener.set_nonblocking(true)?;
    runtime::start(cli.runtime, async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        P::serve(listener, handler, workload.over).await
    })
}
