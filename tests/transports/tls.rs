//! TLS: who is let in, what a failure says, and what does not notice it.

use rcgen::date_time_ymd;
use steeple::{
    Channel, Client, Connector, Endpoint, Error, Kind, Request, Response, Router, Server,
    ServerHandle,
    layers::{AuthLayer, BalanceLayer, Replicas, resolve::Polled},
    router::Extension,
    server::Accepted,
    transport::{NetDialer, PeerCertificate, TlsClient, TlsIdentity, TlsServer},
};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    version::TLS13,
};
use tower::{Layer, Service, service_fn};

use crate::{
    certificates::Authority,
    support::{call, echo},
    world::{soon, told},
};

const HOST: &str = "localhost";
const HERE: &str = "tls://localhost:0";

async fn serve(tls: &TlsServer) -> ServerHandle {
    let server = Server::new(tls.bind(HERE).await.unwrap());
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    handle
}

async fn serve_as(identity: TlsIdentity) -> ServerHandle {
    serve(&TlsServer::new(identity).unwrap()).await
}

fn connector(tls: TlsClient) -> Connector {
    Connector::new().dialer(NetDialer::new().tls(tls))
}

/// Dials by the name `localhost`.
async fn connect(server: &ServerHandle, tls: TlsClient) -> Result<Channel, Error> {
    let endpoint = format!("tls://localhost:{}", port(server));
    soon(connector(tls).connect(&*endpoint)).await
}

fn port(server: &ServerHandle) -> u16 {
    let address = server.address().to_string();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

async fn answers(channel: &mut Channel) {
    soon(channel.call(call("echo", "x"))).await.unwrap();
}

/// What a dial that has to fail says.
async fn refusal(server: &ServerHandle, tls: TlsClient) -> String {
    let error = connect(server, tls).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    told(&error)
}

#[tokio::test]
async fn a_client_calls_by_the_scheme_alone() {
    let authority = Authority::new();
    let server = serve_as(authority.identity(&["localhost"])).await;
    assert!(server.address().to_string().starts_with("tls://"));
    let connector = connector(TlsClient::new(authority.roots()));
    let endpoint = format!("tls://localhost:{}", port(&server));
    let builder = Client::builder().connector(connector);
    let mut client = builder.connect(&*endpoint).await.unwrap();
    let answer: String = soon(client.call("echo", "hello")).await.unwrap();
    assert_eq!(answer, "hello");
}

#[tokio::test]
async fn the_process_wide_provider_is_neither_needed_nor_set() {
    assert!(CryptoProvider::get_default().is_none());
    let authority = Authority::new();
    let server = serve_as(authority.identity(&["localhost"])).await;
    answers(
        &mut connect(&server, TlsClient::new(authority.roots()))
            .await
            .unwrap(),
    )
    .await;
    assert!(CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn a_server_of_another_name_is_told_with_both() {
    let authority = Authority::new();
    let server = serve_as(authority.identity(&["db.internal"])).await;
    let error = refusal(&server, TlsClient::new(authority.roots())).await;
    assert!(
        error.contains("db.internal") && error.contains("not for localhost"),
        "{error}"
    );

    let named = TlsClient::new(authority.roots())
        .server_name("db.internal")
        .unwrap();
    answers(&mut connect(&server, named).await.unwrap()).await;
}

#[tokio::test]
async fn replicas_found_by_dns_are_dialled_by_address_and_certified_by_name() {
    let authority = Authority::new();
    let server = serve_as(authority.identity(&["db.internal"])).await;
    let port = port(&server);
    let named: Endpoint = format!("tls://db.internal:{port}").parse().unwrap();
    let resolver = Polled::dns(format!("localhost:{port}"), move |at| named.at(at));
    let connector = connector(TlsClient::new(authority.roots()));
    let replicas = Replicas::new(resolver, connector);
    soon(replicas.ready()).await.unwrap();
    for endpoint in replicas.endpoints() {
        let address = endpoint.address();
        assert!(address.starts_with("tls://db.internal@"), "{address}");
    }
    let mut client = BalanceLayer::default().layer(replicas);
    soon(client.call(call("echo", "x"))).await.unwrap();
}

#[tokio::test]
async fn what_is_no_name_of_a_server_is_told() {
    let roots = Authority::new().roots();
    let error = TlsClient::new(roots).server_name("a b").unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("\"a b\""), "{error}");
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_told() {
    let server = serve_as(Authority::new().identity(&["localhost"])).await;
    let error = refusal(&server, TlsClient::new(Authority::new().roots())).await;
    assert!(
        error.contains("of an authority that is not trusted here"),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_told() {
    let authority = Authority::new();
    let expired = authority.identity_with(&["localhost"], |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let server = serve_as(expired).await;
    let error = refusal(&server, TlsClient::new(authority.roots())).await;
    assert!(error.contains("its certificate has expired"), "{error}");
}

#[tokio::test]
async fn a_failed_handshake_is_not_felt_by_other_connections() {
    let authority = Authority::new();
    let server = serve_as(authority.identity(&["localhost"])).await;
    let mut good = connect(&server, TlsClient::new(authority.roots()))
        .await
        .unwrap();
    answers(&mut good).await;
    // One that says nothing, one that leaves, one that does not trust.
    let _silent = TcpStream::connect(("localhost", port(&server)))
        .await
        .unwrap();
    drop(
        TcpStream::connect(("localhost", port(&server)))
            .await
            .unwrap(),
    );
    refusal(&server, TlsClient::new(Authority::new().roots())).await;
    answers(&mut good).await;
    answers(
        &mut connect(&server, TlsClient::new(authority.roots()))
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test]
async fn a_plain_client_of_a_tls_server_is_told_that_it_speaks_tls() {
    let server = serve_as(Authority::new().identity(&["localhost"])).await;
    let endpoint = format!("tcp://localhost:{}", port(&server));
    let mut channel = Channel::connect(&*endpoint).await.unwrap();
    let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
    assert!(told(&error).contains("TLS"), "{}", told(&error));
}

#[tokio::test]
async fn a_tls_client_of_a_plain_server_is_told_that_it_does_not_speak_tls() {
    let server = Server::bind("tcp://localhost:0").await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let error = refusal(&handle, TlsClient::new(Authority::new().roots())).await;
    assert!(error.contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_handler_and_what_makes_its_service_know_the_client_by_its_certificate() {
    let authority = Authority::new();
    let tls = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots()).unwrap();
    let server = Server::new(tls.bind(HERE).await.unwrap());
    let handle = server.handle();
    let make = service_fn(async |accepted: Accepted| {
        let made: &PeerCertificate = accepted.extensions.get().unwrap();
        let made = made.spiffe_id().unwrap().to_owned();
        Ok::<_, Error>(service_fn(move |request: Request| {
            let found = PeerCertificate::of(&request).unwrap();
            let names: Vec<_> = found.dns_names().collect();
            let text = format!("{made} {} {}", names.join(","), found.chain().len());
            async move { Ok::<_, Error>(Response::new(text.into())) }
        }))
    });
    tokio::spawn(server.serve_with(make));

    let identity = authority.identity(&["a.client", "spiffe://here/client"]);
    let client = TlsClient::mutual(authority.roots(), identity).unwrap();
    let mut channel = connect(&handle, client).await.unwrap();
    let answer = soon(channel.call(call("who", ""))).await.unwrap();
    assert_eq!(answer.body().as_bytes(), "spiffe://here/client a.client 1");
}

#[tokio::test]
async fn a_handler_of_a_router_takes_the_certificate_of_its_caller() {
    let authority = Authority::new();
    let tls = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots()).unwrap();
    let server = Server::new(tls.bind(HERE).await.unwrap());
    let who = |Extension(caller): Extension<PeerCertificate>, _: ()| {
        caller.spiffe_id().map(str::to_owned)
    };
    let server = server.spawn(Router::new().route("Who", who));
    let identity = authority.identity(&["spiffe://here/client"]);
    let client = TlsClient::mutual(authority.roots(), identity).unwrap();
    let mut client = Client::new(connect(&server, client).await.unwrap());
    let who: Option<String> = soon(client.call("Who", &())).await.unwrap();
    assert_eq!(who.as_deref(), Some("spiffe://here/client"));
}

#[tokio::test]
async fn a_filter_lets_clients_in_by_their_certificate() {
    let authority = Authority::new();
    let tls = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots()).unwrap();
    let only_payments = AuthLayer::new(|request: &mut Request| {
        match PeerCertificate::of(request).and_then(PeerCertificate::spiffe_id) {
            Some("spiffe://here/payments") => Ok(()),
            other => Err(Error::new(
                Kind::PermissionDenied,
                format!("{other:?} is not let in"),
            )),
        }
    });
    let server = Server::new(tls.bind(HERE).await.unwrap());
    let server = server.spawn(only_payments.layer(echo()));
    let channel = async |id| {
        let client = TlsClient::mutual(authority.roots(), authority.identity(&[id])).unwrap();
        connect(&server, client).await.unwrap()
    };
    answers(&mut channel("spiffe://here/payments").await).await;
    let mut stranger = channel("spiffe://here/ads").await;
    let error = soon(stranger.call(call("echo", "x"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert!(error.to_string().contains("spiffe://here/ads"), "{error}");
}

#[cfg(feature = "webpki-roots")]
#[tokio::test]
async fn who_trusts_the_authorities_of_browsers_trusts_no_other() {
    let server = serve_as(Authority::new().identity(&["localhost"])).await;
    let error = refusal(&server, TlsClient::webpki()).await;
    assert!(error.contains("not trusted here"), "{error}");
}

#[tokio::test]
async fn a_certificate_with_two_uris_has_no_spiffe_id() {
    let authority = Authority::new();
    let tls = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots()).unwrap();
    let server = Server::new(tls.bind(HERE).await.unwrap());
    let handle = server.handle();
    tokio::spawn(server.serve(service_fn(async |request: Request| {
        let found = PeerCertificate::of(&request).unwrap();
        let text = format!("{:?} {}", found.spiffe_id(), found.uris().count());
        Ok::<_, Error>(Response::new(text.into()))
    })));
    let identity = authority.identity(&["spiffe://a/b", "spiffe://c/d"]);
    let client = TlsClient::mutual(authority.roots(), identity).unwrap();
    let mut channel = connect(&handle, client).await.unwrap();
    let answer = soon(channel.call(call("who", ""))).await.unwrap();
    assert_eq!(answer.body().as_bytes(), "None 2");
}

#[tokio::test]
async fn a_client_without_the_certificate_that_is_wanted_is_told() {
    let authority = Authority::new();
    let tls = TlsServer::mutual(authority.identity(&["localhost"]), authority.roots()).unwrap();
    let server = serve(&tls).await;
    let client = TlsClient::new(authority.roots());
    // TLS 1.3 lets a client speak before the server has looked at what it has shown.
    let mut channel = connect(&server, client).await.unwrap();
    let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
    assert!(
        told(&error).contains("it wants a certificate, and this side has shown none"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn a_certificate_is_replaced_and_the_connections_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = TlsServer::new(old.identity(&["localhost"])).unwrap();
    let server = serve(&tls).await;
    let mut before = connect(&server, TlsClient::new(old.roots())).await.unwrap();
    answers(&mut before).await;

    tls.replace(&TlsServer::new(new.identity(&["localhost"])).unwrap());
    let error = refusal(&server, TlsClient::new(old.roots())).await;
    assert!(error.contains("not trusted"), "{error}");
    answers(&mut connect(&server, TlsClient::new(new.roots())).await.unwrap()).await;
    answers(&mut before).await;
}

#[tokio::test]
async fn a_configuration_of_ones_own_is_taken_as_it_is() {
    let authority = Authority::new();
    let server = serve_as(authority.identity(&["localhost"])).await;
    let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    answers(
        &mut connect(&server, TlsClient::from_config(config.clone()))
            .await
            .unwrap(),
    )
    .await;

    config.alpn_protocols = vec![b"h2".to_vec()];
    let error = refusal(&server, TlsClient::from_config(config)).await;
    assert!(error.contains("ALPN"), "{error}");
}

#[tokio::test]
async fn tls_goes_around_any_stream() {
    let authority = Authority::new();
    let tls = TlsServer::new(authority.identity(&["inside"])).unwrap();
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap().wrap(tls);
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let client = TlsClient::new(authority.roots())
        .server_name("inside")
        .unwrap();
    let connector = Connector::new().wrap(client);
    answers(&mut connector.connect(handle.address()).await.unwrap()).await;
}

#[tokio::test]
async fn a_tls_endpoint_is_not_served_in_plain() {
    let error = Server::bind("tls://127.0.0.1:0").await.unwrap_err();
    assert!(told(&error).contains("certificate"), "{}", told(&error));
    let tls = TlsServer::new(Authority::new().identity(&["localhost"])).unwrap();
    let error = tls.bind("tcp://127.0.0.1:0").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

#[tokio::test]
async fn an_identity_comes_from_pem_and_what_is_wrong_with_it_is_told() {
    let error = TlsIdentity::from_pem("", "").unwrap_err();
    assert!(error.to_string().contains("no certificate"), "{error}");
    let made = || rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let (one, other) = (made(), made());
    let chain = one.cert.pem();
    let error = TlsIdentity::from_pem(&chain, &chain).unwrap_err();
    assert!(error.to_string().contains("no private key"), "{error}");
    let foreign = TlsIdentity::from_pem(&chain, other.signing_key.serialize_pem()).unwrap();
    let error = TlsServer::new(foreign).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);

    let identity = TlsIdentity::from_pem(&chain, one.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(one.cert.der().clone()).unwrap();
    let server = serve_as(identity).await;
    answers(&mut connect(&server, TlsClient::new(roots)).await.unwrap()).await;
}
