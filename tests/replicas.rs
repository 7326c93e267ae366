//! Servers that are killed, started, drained, added and removed under a balanced client.

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use steeple::{
    Channel, Connector, Endpoint, Error, Execution, Kind, Request, Server, ServerHandle,
    layers::{
        balance::{Balance, BalanceLayer, Reconnect, ReconnectLayer, RoundRobin},
        replicas::{Replicas, State},
        resolve::{Fixed, Streamed, Target},
    },
    transport::mem::{MemDialer, MemNetwork},
};
use tokio::{sync::mpsc, time::sleep};
use tower::{Layer, Service};

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
