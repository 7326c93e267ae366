//! What connections of steeple go over, beside TCP as it is.

use std::io;
use std::net::SocketAddr;

use rcgen::{Certificate, CertificateParams, KeyPair};
use steeple::transport::{
    Algorithm, Compression, Listener, NetDialer, TcpListener as Tcp, TlsClient, TlsIdentity,
    TlsServer,
};
use steeple::{Channel, Client, Connector, RpcService, Server};
use tokio::net::TcpListener;
use tokio_rustls::rustls::RootCertStore;

use super::settings::options;
use crate::Error;
use crate::workload::Over;

/// Whom the certificate is for.
const HOST: &str = "127.0.0.1";

/// A key of Ed25519 as PKCS#8, known to everybody: so both processes can make the one certificate without a word.
const KEY: [u8; 48] = {
    const PKCS8: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let mut key = [7; 48];
    let mut at = 0;
    while at < PKCS8.len() {
        key[at] = PKCS8[at];
        at += 1;
    }
    key
};

/// What is around a service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stack {
    None,
    Default,
}

/// Serves until the process ends.
pub(super) async fn serve<S>(
    listener: TcpListener,
    over: Over,
    service: S,
    stack: Stack,
) -> io::Result<()>
where
    S: RpcService + Clone + Send + 'static,
{
    let server = Server::new(Tcp::from_tokio(listener)?).options(options());
    match (over, compression(over)) {
        (_, Some(compression)) => run(server.wrap(compression), service, stack).await,
        (Over::Tls, None) => {
            let tls = tls_server().map_err(io::Error::other)?;
            run(server.wrap(tls), service, stack).await;
        }
        (_, None) => run(server, service, stack).await,
    }
    Ok(())
}

async fn run<L, S>(server: Server<L>, service: S, stack: Stack)
where
    L: Listener,
    S: RpcService + Clone + Send + 'static,
{
    match stack {
        Stack::None => server.serve_bare(service).await,
        Stack::Default => server.serve(service).await,
    };
}

/// A connection without layers.
pub(super) async fn channel(addr: SocketAddr, over: Over) -> Result<Channel, Error> {
    let (connector, endpoint) = (connector(over)?, endpoint(addr, over));
    Ok(match compression(over) {
        Some(compression) => connector.wrap(compression).connect(endpoint).await?,
        None => connector.connect(endpoint).await?,
    })
}

/// A connection with the default stack.
pub(super) async fn client(addr: SocketAddr, over: Over) -> Result<Client, Error> {
    let (connector, endpoint) = (connector(over)?, endpoint(addr, over));
    Ok(match compression(over) {
        Some(compression) => {
            let connector = connector.wrap(compression);
            Client::builder()
                .connector(connector)
                .connect(endpoint)
                .await?
        }
        None => {
            Client::builder()
                .connector(connector)
                .connect(endpoint)
                .await?
        }
    })
}

fn endpoint(addr: SocketAddr, over: Over) -> String {
    match over {
        Over::Tls => format!("tls://{addr}"),
        Over::Tcp | Over::Zstd | Over::Deflate => format!("tcp://{addr}"),
    }
}

fn compression(over: Over) -> Option<Compression> {
    let algorithm = match over {
        Over::Tcp | Over::Tls => return None,
        Over::Zstd => Algorithm::Zstd,
        Over::Deflate => Algorithm::Deflate,
    };
    Some(Compression::new().sends(algorithm))
}

fn connector(over: Over) -> Result<Connector, Error> {
    let mut dialer = NetDialer::new();
    if over == Over::Tls {
        let mut roots = RootCertStore::empty();
        roots.add(certificate()?.0.der().clone())?;
        dialer = dialer.tls(TlsClient::new(roots));
    }
    Ok(Connector::new().options(options()).dialer(dialer))
}

fn tls_server() -> Result<TlsServer, Error> {
    let (certificate, key) = certificate()?;
    let identity = TlsIdentity::from_pem(certificate.pem(), key.serialize_pem())?;
    Ok(TlsServer::new(identity)?)
}

fn certificate() -> Result<(Certificate, KeyPair), Error> {
    let key = KeyPair::try_from(&KEY[..])?;
    let certificate = CertificateParams::new([HOST.to_owned()])?.self_signed(&key)?;
    Ok((certificate, key))
}
