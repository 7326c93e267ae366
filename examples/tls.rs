//! Mutual TLS: an authority made in memory vouches for a server and a client, and the handler knows who calls.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use steeple::{
    Client, Connector, Error, Kind, Router, Server,
    router::Extension,
    transport::{NetDialer, PeerCertificate, TlsClient, TlsIdentity, TlsServer},
};
use tokio_rustls::rustls::RootCertStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut roots = RootCertStore::empty();
    roots.add(params.self_signed(&key)?.der().clone())?;
    let authority = Issuer::new(params, key);

    let identity = self::identity(&authority, "spiffe://example/server")?;
    let tls = TlsServer::mutual(identity, roots.clone())?;
    let server = Server::new(tls.bind("tls://localhost:0").await?);
    let handle = server.handle();
    tokio::spawn(server.serve(Router::new().route("Greet", greet)));

    let identity = self::identity(&authority, "spiffe://example/client")?;
    let tls = TlsClient::mutual(roots, identity)?;
    // The address is one in numbers, and the certificate is for a name.
    let tls = tls.server_name("localhost")?;
    let connector = Connector::new().dialer(NetDialer::new().tls(tls));
    let mut client = Client::new(connector.connect(handle.address()).await?);
    let greeting: String = client.call("Greet", "hello").await?;
    assert_eq!(greeting, "hello, spiffe://example/client");

    handle.drain().await;
    Ok(())
}

async fn greet(
    Extension(caller): Extension<PeerCertificate>,
    greeting: String,
) -> Result<String, Error> {
    let unknown = || Error::new(Kind::Unauthenticated, "who are you?");
    let caller = caller.spiffe_id().ok_or_else(unknown)?;
    println!("{caller} says {greeting}");
    Ok(format!("{greeting}, {caller}"))
}

/// Somebody for whom the authority vouches.
fn identity(
    authority: &Issuer<'_, KeyPair>,
    spiffe_id: &str,
) -> Result<TlsIdentity, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params
        .subject_alt_names
        .push(SanType::URI(spiffe_id.try_into()?));
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(TlsIdentity::from_pem(
        certificate.pem(),
        key.serialize_pem(),
    )?)
}
