//! Servers that are killed, started, drained, added and removed under a balanced client.

mod support;

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::join_all;
use steeple::{
    Body, Channel, Connector, Endpoint, Error, Execution, Kind, Request, Response, Server,
    ServerHandle,
    layers::{
        balance::{Balance, BalanceLayer, Reconnect, ReconnectLayer, RoundRobin},
        replicas::{HealthCheck, Replicas, State},
        resolve::{Fixed, Streamed, Target},
    },
    transport::mem::{MemDialer, MemNetwork},
};
use tokio::{sync::mpsc, time::sleep};
use tower::{Layer, Service, service_fn};

use self::support::{call, echo, settle, soon};

type Client = Balance<Channel, RoundRobin>;

const SECOND: Duration = Duration::from_secs(1);

fn connector(network: &MemNetwork) -> Connector<MemDialer> {
    Connector::new().dialer(network.dialer("client"))
}

fn endpoint(name: &str) -> Endpoint {
    format!("mem://{name}").parse().unwrap()
}

/// Serves echoes at `mem://name`.
fn serve(network: &MemNetwork, name: &str) -> ServerHandle {
    let server = Server::new(network.listen(name).unwrap());
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    handle
}

fn client(replicas: &Replicas<Channel>) -> Client {
    BalanceLayer::new(RoundRobin::default()).layer(replicas.clone())
}

/// A call within a second.
fn within_a_second() -> Request {
    let mut request = call("echo", "x");
    request.cx_mut().set_timeout(SECOND);
    request
}

fn states(replicas: &Replicas<Channel>) -> Vec<State> {
    replicas.endpoints().iter().map(|one| one.state()).collect()
}

#[tokio::test(start_paused = true)]
async fn calls_spread_over_servers_and_survive_the_death_of_one() {
    let network = MemNetwork::new(1);
    let (a, b) = (serve(&network, "a"), serve(&network, "b"));
    let resolver = Fixed::new(["a", "b"].map(endpoint)).unwrap();
    let replicas = Replicas::new(resolver, connector(&network));
    replicas.ready().await.unwrap();
    settle().await;
    let mut client = client(&replicas);
    for _ in 0..10 {
        client.call(within_a_second()).await.unwrap();
    }
    let answered = |handle: &ServerHandle| handle.peers()[0].stats();
    assert_eq!(format!("{:?}", answered(&a)), format!("{:?}", answered(&b)));

    a.close().await;
    settle().await;
    for _ in 0..10 {
        client.call(within_a_second()).await.unwrap();
    }
    assert_eq!(states(&replicas)[1], State::Live);
    serve(&network, "a");
    sleep(2 * SECOND).await;
    assert_eq!(states(&replicas), [State::Live; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_stopped_and_started_needs_no_code_in_the_client() {
    let network = MemNetwork::new(1);
    let mut client: Reconnect<Channel> =
        ReconnectLayer::new(endpoint("server")).layer(connector(&network));
    let early = client.call(within_a_second());
    let mut server = serve(&network, "server");
    soon(early).await.unwrap();
    for _ in 0..3 {
        server.close().await;
        let error = client.call(within_a_second()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Unreachable, Execution::NotSent)
        );
        assert!(error.is_timeout());
        server = serve(&network, "server");
        soon(client.call(within_a_second())).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drains_takes_no_call_with_it() {
    let network = MemNetwork::new(1);
    let (a, _b) = (serve(&network, "a"), serve(&network, "b"));
    let resolver = Fixed::new(["a", "b"].map(endpoint)).unwrap();
    let replicas = Replicas::new(resolver, connector(&network));
    settle().await;
    let mut client = client(&replicas);
    let calls = join_all((0..20).map(|_| client.call(within_a_second())));
    let (calls, ()) = tokio::join!(calls, a.drain());
    assert!(calls.into_iter().all(|answer| answer.is_ok()));
    for _ in 0..10 {
        client.call(within_a_second()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn servers_come_and_go_while_calls_flow() {
    let network = MemNetwork::new(1);
    let servers: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| serve(&network, name))
        .collect();
    let (sender, receiver) = mpsc::channel::<Vec<Target<Endpoint>>>(8);
    let listed = futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((Ok::<_, Error>(receiver.recv().await?), receiver))
    });
    let replicas = Replicas::new(Streamed::sets(listed), connector(&network));
    let list = async |names: &[&str]| {
        let targets = names.iter().map(|name| endpoint(name).into()).collect();
        sender.send(targets).await.unwrap();
    };
    let client = client(&replicas);
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    client.call(within_a_second()).await.unwrap();
                    sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    for names in [
        &["a"][..],
        &["a", "b"],
        &["b", "c"],
        &["c"],
        &["a", "c"],
        &["b"],
    ] {
        list(names).await;
        sleep(Duration::from_millis(30)).await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    sleep(SECOND).await;
    let peers: Vec<_> = servers.iter().map(|server| server.peers().len()).collect();
    assert_eq!(peers, [0, 1, 0]);
    replicas.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_behind_a_dead_link_is_not_called() {
    let network = MemNetwork::new(1);
    let (_a, _b) = (serve(&network, "a"), serve(&network, "b"));
    network.link("client", "a").swallow();
    let resolver = Fixed::new(["a", "b"].map(endpoint)).unwrap();
    let replicas = Replicas::new(resolver, connector(&network));
    replicas.ready().await.unwrap();
    let mut client = client(&replicas);
    for _ in 0..10 {
        client.call(within_a_second()).await.unwrap();
    }
    assert_eq!(states(&replicas), [State::Connecting, State::Live]);
}

/// Serves its name at `mem://name`; asked for its status, it says whether it is well.
fn serve_with_status(network: &MemNetwork, name: &'static str) -> (ServerHandle, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let is_well = well.clone();
    let service = service_fn(move |request: Request| {
        let answer = match request.method() == "Status" && !is_well.load(SeqCst) {
            true => Err(Error::new(Kind::Unavailable, "the disk is full")),
            false => Ok(Response::new(name.into())),
        };
        async move { answer }
    });
    let server = Server::new(network.listen(name).unwrap());
    (server.spawn(service), well)
}

/// Who answers ten calls, in order and each once.
async fn who_answers(client: &mut Client) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..10 {
        let answer = client.call(within_a_second()).await.unwrap();
        names.push(String::from_utf8(answer.body().as_bytes().to_vec()).unwrap());
    }
    names.sort();
    names.dedup();
    names
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_it_is_not_well_is_not_called_until_it_says_otherwise() {
    let network = MemNetwork::new(1);
    let (_a, a_is_well) = serve_with_status(&network, "a");
    let (_b, _) = serve_with_status(&network, "b");
    a_is_well.store(false, SeqCst);
    let check = HealthCheck::by(|mut channel: Channel| async move {
        let request = Request::new("Status", Body::empty());
        channel.call(request).await.map(drop)
    });
    let resolver = Fixed::new(["a", "b"].map(endpoint)).unwrap();
    let replicas = Replicas::builder(resolver, connector(&network))
        .health_check(check.interval(SECOND).unhealthy_after(1).healthy_after(1))
        .start();
    replicas.ready().await.unwrap();
    settle().await;
    let mut client = client(&replicas);
    assert_eq!(states(&replicas), [State::Unhealthy, State::Live]);
    let endpoints = replicas.endpoints();
    let cause = endpoints[0].reason().and_then(|error| error.source());
    assert_eq!(cause.unwrap().to_string(), "the disk is full");
    assert_eq!(who_answers(&mut client).await, ["b"]);

    for (well, names) in [(true, &["a", "b"][..]), (false, &["b"])] {
        a_is_well.store(well, SeqCst);
        sleep(3 * SECOND).await;
        assert_eq!(who_answers(&mut client).await, names);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_no_ping_is_not_called_and_keeps_its_connection() {
    let network = MemNetwork::new(1);
    let (a, _) = serve_with_status(&network, "a");
    let (_b, _) = serve_with_status(&network, "b");
    let resolver = Fixed::new(["a", "b"].map(endpoint)).unwrap();
    let replicas = Replicas::builder(resolver, connector(&network))
        .health_check(HealthCheck::ping().interval(SECOND).unhealthy_after(1))
        .start();
    replicas.ready().await.unwrap();
    settle().await;
    let mut client = client(&replicas);
    assert_eq!(who_answers(&mut client).await, ["a", "b"]);
    network.link("client", "a").partition();
    sleep(3 * SECOND).await;
    assert_eq!(states(&replicas), [State::Unhealthy, State::Live]);
    assert_eq!(who_answers(&mut client).await, ["b"]);
    network.link("client", "a").heal();
    sleep(5 * SECOND).await;
    assert_eq!(who_answers(&mut client).await, ["a", "b"]);
    assert_eq!(a.peers().len(), 1);
}
