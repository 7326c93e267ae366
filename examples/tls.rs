//! Mutual TLS: an authority made in memory vouches for a server and a client, and the handler knows who calls.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use steeple::{
    Body, Channel, Connector, Error, Kind, Request, Response, Server,
    transport::{NetDialer, PeerCertificate, TlsClient, TlsIdentity, TlsServer},
};
use tokio_rustls::rustls::RootCertStore;
use tower::{Service, service_fn};

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
    tokio::spawn(server.serve(service_fn(greet)));

    let identity = self::identity(&authority, "spiffe://example/client")?;
    let tls = TlsClient::mutual(roots, identity)?;
    // The address is one in numbers, and the certificate is for a name.
    let tls = tls.server_name("localhost")?;
    let connector = Connector::new().dialer(NetDialer::new().tls(tls));
    let mut channel: Channel = connector.connect(handle.address()).await?;
    let greeting = channel.call(Request::new("Greet", Body::default())).await?;
    assert_eq!(greeting.body().as_bytes(), "hello, spiffe://example/client");

    handle.drain().await;
    Ok(())
}

async fn greet(request: Request) -> Result<Response, Error> {
    let caller = PeerCertificate::of(&request).and_then(PeerCertificate::spiffe_id);
    let caller = caller.ok_or_else(|| Error::new(Kind::Unauthenticated, "who are you?"))?;
    println!("{caller} calls");
    Ok(Response::new(format!("hello, {caller}").into()))
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
