//! What each side of TLS says of a handshake that fails: the one that found the fault, and the one that is told.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use steeple::{
    Address, Connector, Server,
    transport::{
        NetDialer, Opened, PeerCertificate, TlsClient, TlsIdentity, TlsServer, mem::MemStream,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, version};
use tower::{Service, ServiceExt};

use crate::{
    certificates::Authority,
    support::{call, echo},
    world::{soon, told},
};

/// What a client and a server say in the end; nothing, if nothing is wrong.
async fn said(client: TlsClient, server: TlsServer) -> [String; 2] {
    let (near, far) = MemStream::pair(1 << 16);
    let address = || Address::Other("there".into());
    let dialled = Some("tls://localhost:1".parse().unwrap());
    let client = async {
        let opened = client.oneshot(Opened::new(near, address(), dialled)).await;
        let mut stream = opened.map_err(|error| told(&error))?.io;
        // In TLS 1.3 a client learns only here what is thought of its certificate.
        let read = stream.read_u8().await;
        read.map_err(|error| told(&error))
    };
    let server = async {
        let opened = server.oneshot(Opened::new(far, address(), None)).await;
        let mut stream = opened.map_err(|error| told(&error))?.io;
        stream.write_u8(7).await.map_err(|error| told(&error))?;
        stream.flush().await.map_err(|error| told(&error))
    };
    let (client, server) = soon(async { tokio::join!(client, server) }).await;
    [
        client.err().unwrap_or_default(),
        server.err().unwrap_or_default(),
    ]
}

/// What both say where the server wants a certificate, and the client shows this one.
async fn said_of(authority: &Authority, identity: Option<TlsIdentity>) -> [String; 2] {
    let roots = authority.roots();
    let client = match identity {
        Some(identity) => TlsClient::mutual(roots, identity).unwrap(),
        None => TlsClient::new(roots),
    };
    let server = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots());
    said(client, server.unwrap()).await
}

fn expects([client, server]: &[String; 2], of_client: &str, of_server: &str) {
    assert!(client.contains(of_client), "the client says {client:?}");
    assert!(server.contains(of_server), "the server says {server:?}");
}

fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2001, 1, 1);
}

#[tokio::test]
async fn a_good_certificate_is_not_spoken_of() {
    let authority = Authority::new();
    let identity = authority.identity(&["client"]);
    assert_eq!(said_of(&authority, Some(identity)).await, ["", ""]);
}

#[tokio::test]
async fn both_sides_say_that_the_certificate_of_a_client_has_expired() {
    let authority = Authority::new();
    let identity = authority.identity_with(&["client"], expired);
    expects(
        &said_of(&authority, Some(identity)).await,
        "this side's certificate has expired",
        "its certificate has expired",
    );
}

#[tokio::test]
async fn both_sides_say_that_the_certificate_of_a_client_is_of_an_authority_that_is_not_trusted() {
    let identity = Authority::new().identity(&["client"]);
    expects(
        &said_of(&Authority::new(), Some(identity)).await,
        "it does not trust the authority of this side's certificate",
        "its certificate is of an authority that is not trusted here",
    );
}

#[tokio::test]
async fn both_sides_say_that_the_certificate_of_a_client_is_not_valid_yet() {
    let authority = Authority::new();
    let identity = authority.identity_with(&["client"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    expects(
        &said_of(&authority, Some(identity)).await,
        "this side's certificate has expired",
        "its certificate is not valid yet",
    );
}

#[tokio::test]
async fn both_sides_say_that_a_client_has_shown_no_certificate() {
    expects(
        &said_of(&Authority::new(), None).await,
        "it wants a certificate, and this side has shown none",
        "it has not shown a certificate",
    );
}

#[tokio::test]
async fn both_sides_say_what_is_wrong_with_the_certificate_of_a_server() {
    let authority = Authority::new();
    for (identity, of_client, of_server) in [
        (
            authority.identity_with(&["localhost"], expired),
            "its certificate has expired",
            "this side's certificate has expired",
        ),
        (
            Authority::new().identity(&["localhost"]),
            "of an authority that is not trusted here",
            "it does not trust the authority of this side's certificate",
        ),
        (
            authority.identity(&["db.internal"]),
            "its certificate is for db.internal, and not for localhost",
            "it does not accept this side's certificate",
        ),
    ] {
        let client = TlsClient::new(authority.roots());
        let server = TlsServer::new(identity).unwrap();
        expects(&said(client, server).await, of_client, of_server);
    }
}

fn client_config(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// One for `localhost` that vouches for itself, and who trusts it.
fn server_config(name: &str) -> (ServerConfig, RootCertStore) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    (config.unwrap(), roots)
}

#[tokio::test]
async fn both_sides_say_that_they_have_no_protocol_in_common() {
    let (mut config, roots) = server_config("it");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = TlsServer::from_config(config);
    let words = said(TlsClient::new(roots), server).await;
    let why = "its protocols (ALPN) do not include ours";
    expects(&words, why, why);
}

#[tokio::test]
async fn a_configuration_of_a_servers_own_is_taken_as_it_is() {
    // Its ALPN, which is none, included: a client of ours can live with that, and one of h2 too.
    let (config, roots) = server_config("it");
    let server = TlsServer::from_config(config);
    assert_eq!(
        said(TlsClient::new(roots.clone()), server.clone()).await,
        ["", ""]
    );
    let mut client = client_config(roots);
    client.alpn_protocols = vec![b"h2".to_vec()];
    assert_eq!(said(TlsClient::from_config(client), server).await, ["", ""]);
}

#[tokio::test]
async fn a_configuration_of_ones_own_may_be_shared_and_replaced() {
    let (old, old_roots) = server_config("old");
    let (new, new_roots) = server_config("new");
    let server = TlsServer::from_config(Arc::new(old));
    let client = TlsClient::from_config(Arc::new(client_config(old_roots)));
    let handed_on = (client.clone(), server.clone());
    let both = async || said(handed_on.0.clone(), handed_on.1.clone()).await;
    assert_eq!(both().await, ["", ""]);
    server.replace(&TlsServer::from_config(new));
    expects(&both().await, "not trusted here", "it does not trust");
    client.replace(&TlsClient::from_config(client_config(new_roots)));
    assert_eq!(both().await, ["", ""]);
}

#[tokio::test]
async fn a_server_says_of_a_plain_client_that_it_does_not_speak_tls() {
    let (mut near, far) = MemStream::pair(1 << 16);
    near.write_all(b"\x9Est\xF0\r\n\x01\x01").await.unwrap();
    let server = TlsServer::new(Authority::new().identity(&["localhost"])).unwrap();
    let opened = Opened::new(far, Address::Other("there".into()), None);
    let error = soon(server.oneshot(opened)).await.unwrap_err();
    let words = told(&error);
    assert!(
        words.contains("no TLS with there: it does not speak TLS"),
        "{words}"
    );
}

#[tokio::test]
async fn a_client_that_is_renewed_shows_its_new_certificate_and_its_connections_go_on() {
    let authority = Authority::new();
    let identity = |id| authority.identity(&[id]);
    let tls = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots()).unwrap();
    let server = Server::new(tls.bind("tls://localhost:0").await.unwrap());
    let handle = server.spawn(tower::service_fn(async |request: steeple::Request| {
        let caller = PeerCertificate::of(&request).unwrap().spiffe_id().unwrap();
        Ok::<_, steeple::Error>(steeple::Response::new(caller.to_owned().into()))
    }));
    let mutual = |id| TlsClient::mutual(authority.roots(), identity(id)).unwrap();
    let client = mutual("spiffe://here/old")
        .server_name("localhost")
        .unwrap();
    let connector = Connector::new().dialer(NetDialer::new().tls(client.clone()));
    let who = async |channel: &mut steeple::Channel| {
        let answer = soon(channel.call(call("who", ""))).await.unwrap();
        String::from_utf8(answer.body().as_bytes().to_vec()).unwrap()
    };
    let mut before = connector.connect(handle.address()).await.unwrap();
    assert_eq!(who(&mut before).await, "spiffe://here/old");

    client.replace(&mutual("spiffe://here/new"));
    let mut after = connector.connect(handle.address()).await.unwrap();
    assert_eq!(who(&mut after).await, "spiffe://here/new");
    assert_eq!(who(&mut before).await, "spiffe://here/old");
}

#[tokio::test]
async fn a_client_that_is_refused_is_told_why_by_the_call_it_makes() {
    let authority = Authority::new();
    let tls = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots()).unwrap();
    let server = Server::new(tls.bind("tls://localhost:0").await.unwrap());
    let handle = server.spawn(echo());
    let stranger = Authority::new().identity(&["client"]);
    let client = TlsClient::mutual(authority.roots(), stranger).unwrap();
    let client = client.server_name("localhost").unwrap();
    let connector = Connector::new().dialer(NetDialer::new().tls(client));
    // Whichever comes first, a write that fails or the alert: it is the alert that is told.
    for _ in 0..20 {
        let mut channel = soon(connector.connect(handle.address())).await.unwrap();
        let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
        let words = told(&error);
        assert!(
            words.contains("it does not trust the authority of this side's certificate"),
            "{words}"
        );
    }
}
