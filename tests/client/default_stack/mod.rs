//! The default stack: it dials when it has to, waits as long as a call may, and has a deadline.

mod deadlines;
mod dialing;
mod layers;
mod losses;

use steeple::{
    Client, Connector, Server, ServerHandle,
    client::ClientBuilder,
    transport::mem::{MemDialer, MemNetwork},
};

use crate::support::Probe;

/// A builder that dials this network.
fn builder(
    network: &MemNetwork,
) -> ClientBuilder<steeple::codec::DefaultCodec, Connector<MemDialer>> {
    Client::builder().connector(Connector::new().dialer(network.dialer("client")))
}

/// Serves on `mem://server`.
fn serve(network: &MemNetwork, probe: &Probe) -> ServerHandle {
    serve_at(network, "server", probe)
}

fn serve_at(network: &MemNetwork, name: &str, probe: &Probe) -> ServerHandle {
    let server = Server::new(network.listen(name).unwrap());
    let handle = server.handle();
    tokio::spawn(server.serve(probe.service()));
    handle
}
