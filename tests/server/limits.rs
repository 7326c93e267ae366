//! What the connections of a server may have together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use steeple::{
    Channel, Connector, Execution, Kind, Options, Router, Server, ServerHandle, Stopped,
    conn::{Excess, Quota},
    router::Handler,
    transport::mem::{MemListener, MemNetwork},
    wire::numbers::reason,
};
use tokio::task::JoinHandle;
use tokio_test::{assert_pending, task};
use tower::Service;

use crate::support::{Probe, RawPeer, call, request, settle, soon};

struct Town {
    network: MemNetwork,
    probe: Probe,
    handle: ServerHandle,
    serving: JoinHandle<Stopped>,
}

impl Town {
    fn new(set: impl FnOnce(Server<MemListener>) -> Server<MemListener>) -> Self {
        let network = MemNetwork::new(5);
        let server = set(Server::new(network.listen("server").unwrap()));
        let (handle, probe) = (server.handle(), Probe::default());
        let serving = tokio::spawn(server.serve(probe.service()));
        Self {
            network,
            probe,
            handle,
            serving,
        }
    }

    fn of(quota: Quota) -> Self {
        Self::new(|server| server.options(Options::new().quota(quota)))
    }

    async fn connect(&self) -> Channel {
        let connector = Connector::new().dialer(self.network.dialer("client"));
        connector.connect("mem://server").await.unwrap()
    }

    async fn raw(&self, name: &str) -> RawPeer {
        RawPeer::new(self.network.connect(name, "server").await.unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_the_limit_is_told_so_and_leaves_the_others_alone() {
    let town = Town::new(|server| server.max_connections(1, Excess::Refuse));
    let mut first = town.connect().await;
    soon(first.handshaken()).await.unwrap();

    let mut raw = town.raw("raw").await;
    raw.expect_preface().await;
    let text = raw.expect_goaway(reason::LIMIT).await;
    assert_eq!(text, "max_connections of 1 is reached");
    raw.expect_eof().await;

    let mut second = town.connect().await;
    let error = soon(second.call(call("echo", "x"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::NotStarted)
    );
    assert!(
        error.to_string().contains("max_connections of 1"),
        "{error}"
    );
    soon(first.call(call("echo", "x"))).await.unwrap();
    let stats = town.handle.stats();
    assert_eq!((stats.accepts, stats.refusals), (3, 2));

    first.close();
    settle().await;
    let mut third = town.connect().await;
    soon(third.call(call("echo", "x"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_connections_is_that_of_all_listeners_together() {
    let network = MemNetwork::new(5);
    let [server, other] = ["server", "other"].map(|name| network.listen(name).unwrap());
    let server = Server::new(server).also(other);
    let server = server.max_connections(1, Excess::Refuse);
    let handle = server.spawn(Probe::default().service());
    let connect = async |name: &str| {
        let connector = Connector::new().dialer(network.dialer("client"));
        connector.connect(format!("mem://{name}").as_str()).await
    };
    for (one, another) in [("server", "other"), ("other", "server")] {
        let first = connect(one).await.unwrap();
        soon(first.handshaken()).await.unwrap();
        for name in [one, another] {
            let refused = connect(name).await.unwrap();
            let error = soon(refused.handshaken()).await.unwrap_err();
            assert!(error.to_string().contains("max_connections"), "{error}");
        }
        soon(first.drain()).await;
        settle().await;
    }
    assert_eq!(handle.stats().refusals, 4);
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_the_limit_waits_until_one_has_ended() {
    let town = Town::new(|server| server.max_connections(1, Excess::Wait));
    let mut first = town.connect().await;
    soon(first.handshaken()).await.unwrap();
    let mut second = town.connect().await;
    let mut third = town.connect().await;
    let mut answers =
        [&mut second, &mut third].map(|channel| task::spawn(channel.call(call("echo", "x"))));
    settle().await;
    for answer in &mut answers {
        assert_pending!(answer.poll());
    }
    soon(first.call(call("echo", "x"))).await.unwrap();

    let [second_answer, mut third_answer] = answers;
    first.close();
    soon(second_answer).await.unwrap();
    assert_pending!(third_answer.poll());
    soon(second.drain()).await;
    soon(third_answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_be_served_when_the_server_drains_is_told_that_nothing_was_started() {
    let town = Town::new(|server| server.max_connections(1, Excess::Wait));
    let first = town.connect().await;
    soon(first.handshaken()).await.unwrap();
    let mut late = [town.connect().await, town.connect().await];
    let answers = late
        .each_mut()
        .map(|channel| channel.call(call("echo", "x")));
    settle().await;

    soon(town.handle.drain()).await;
    for answer in answers {
        let error = soon(answer).await.unwrap_err();
        assert_eq!(error.execution(), Execution::NotStarted);
        assert!(error.to_string().contains("Shutdown"), "{error}");
    }
    assert_eq!(town.serving.await.unwrap(), Stopped::Drained);
    assert_eq!(town.probe.started(), 0);
}

#[tokio::test(start_paused = true)]
async fn handlers_of_all_connections_together_are_limited_and_the_others_wait_their_turn() {
    let quota = Quota::new().max_handlers(2, Excess::Wait);
    let town = Town::of(quota.clone());
    let mut greedy = town.connect().await;
    let mut modest = town.connect().await;
    let mut greedy_answers = Vec::new();
    for _ in 0..10 {
        greedy_answers.push(greedy.call(call("wait", "")));
    }
    town.probe.until_started(2).await;
    let modest_answer = modest.call(call("wait", ""));
    settle().await;
    assert_eq!((town.probe.started(), quota.handlers()), (2, 2));

    // Reading never stops: pings are answered, and calls taken back.
    soon(greedy.ping()).await.unwrap();
    drop(greedy_answers.pop());
    settle().await;
    assert_eq!(town.handle.stats().handling, 10);

    // One of the two places that become free is the modest one's, though nine others waited before it.
    town.probe.ring();
    town.probe.until_started(4).await;
    assert_eq!(town.probe.finished(), 2);
    town.probe.ring();
    soon(modest_answer).await.unwrap();
    for (rings, answer) in greedy_answers.into_iter().enumerate() {
        town.probe.until_started((2 * rings).min(10)).await;
        town.probe.ring();
        let mut answer = task::spawn(answer);
        while answer.poll().is_pending() {
            settle().await;
            town.probe.ring();
        }
    }
    settle().await;
    assert_eq!((town.probe.finished(), quota.handlers()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn handlers_over_the_limit_are_refused_where_that_is_wanted() {
    let town = Town::of(Quota::new().max_handlers(1, Excess::Refuse));
    let [mut one, mut other] = [town.connect().await, town.connect().await];
    let answer = one.call(call("wait", "x"));
    town.probe.until_started(1).await;

    for channel in [&mut one, &mut other] {
        let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Overflow, Execution::NotStarted)
        );
        assert!(error.to_string().contains("max_handlers of 1"), "{error}");
    }
    town.probe.ring();
    soon(answer).await.unwrap();
    soon(other.call(call("echo", "x"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_for_a_place_are_bounded_and_further_ones_not_started() {
    let quota = Quota::new().max_handlers(1, Excess::Wait);
    let options = Options::new().quota(quota).max_waiting(2, 1000);
    let town = Town::new(|server| server.options(options));
    let mut channel = town.connect().await;
    let runs = channel.call(call("wait", "x"));
    town.probe.until_started(1).await;
    let wait = [(); 2].map(|()| channel.call(call("echo", "x")));

    let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotStarted)
    );
    assert!(error.to_string().contains("max_waiting of 2"), "{error}");
    town.probe.ring();
    for answer in [runs].into_iter().chain(wait) {
        soon(answer).await.unwrap();
    }
    assert_eq!(town.probe.started(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_has_many_requests_waiting_is_refused_when_those_of_all_are_too_many() {
    const MUCH: usize = 100 * 1024;
    let quota = Quota::new().max_handlers(1, Excess::Wait).max_waiting(MUCH);
    let town = Town::of(quota);
    let [mut greedy, mut modest] = [town.connect().await, town.connect().await];
    let runs = greedy.call(call("wait", "x"));
    town.probe.until_started(1).await;
    let long = "x".repeat(MUCH);
    let waits = [(); 2].map(|()| greedy.call(call("echo", &*long)));
    settle().await;
    assert_eq!(town.handle.stats().handling, 3);

    let error = soon(greedy.call(call("echo", "x"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotStarted)
    );
    assert!(
        error.to_string().contains("max_waiting of 102400"),
        "{error}"
    );
    let of_the_modest = modest.call(call("echo", "x"));
    settle().await;
    town.probe.ring();
    for answer in [runs, of_the_modest].into_iter().chain(waits) {
        soon(answer).await.unwrap();
    }
    // What is over weighs nothing.
    soon(greedy.call(call("echo", "x"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_whatever_became_of_its_handler() {
    let quota = Quota::new().max_handlers(1, Excess::Wait);
    let town = Town::of(quota.clone());
    let [mut one, mut other] = [town.connect().await, town.connect().await];
    soon(one.call(call("panic", ""))).await.unwrap_err();
    soon(one.call(call("panic later", ""))).await.unwrap_err();
    drop(one.call(call("never", "")));
    let lost = other.call(call("never", ""));
    town.probe.until_started(3).await;
    other.close();
    soon(lost).await.unwrap_err();
    soon(one.call(call("echo", "x"))).await.unwrap();
    settle().await;
    assert_eq!(quota.handlers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_while_it_waits_takes_no_place_with_it() {
    let quota = Quota::new().max_handlers(1, Excess::Wait);
    let town = Town::of(quota.clone());
    let [mut busy, mut lost, mut last] = [
        town.connect().await,
        town.connect().await,
        town.connect().await,
    ];
    let busy_answer = busy.call(call("wait", ""));
    town.probe.until_started(1).await;
    let lost_answer = lost.call(call("wait", ""));
    settle().await;
    let last_answer = last.call(call("echo", "x"));
    settle().await;

    lost.close();
    soon(lost_answer).await.unwrap_err();
    town.probe.ring();
    soon(busy_answer).await.unwrap();
    soon(last_answer).await.unwrap();
    settle().await;
    assert_eq!(quota.handlers(), 0);
}

#[tokio::test(start_paused = true)]
async fn peers_that_do_not_read_hold_only_themselves_up_when_too_much_is_unsent() {
    let town = Town::of(Quota::new().max_unsent(512 * 1024));
    let mut reads = town.connect().await;
    let mut deaf = [town.raw("one").await, town.raw("other").await];
    let mut started = Vec::new();
    for peer in &mut deaf {
        peer.shake_hands().await;
        for n in 1..=20 {
            peer.send(request(2 * n, "big").body("60000")).await;
            settle().await;
        }
        started.push(town.probe.started());
    }
    // The one had what there was; the other only what nobody is denied.
    let [of_one, of_both] = started[..] else {
        unreachable!("there are two")
    };
    assert!((9..=12).contains(&of_one), "{of_one}");
    assert!((1..=4).contains(&(of_both - of_one)), "{of_both}");

    for _ in 0..10 {
        let answer = soon(reads.call(call("big", "100000"))).await.unwrap();
        assert_eq!(answer.body().len(), 100_000);
    }
    // The one reads all, which goes out in one write.
    let [mut one, _other] = deaf;
    let link = town.network.link("one", "server");
    link.capacity(8 * 1024 * 1024);
    tokio::spawn(async move { one.drink().await });
    settle().await;
    assert!(town.probe.started() >= 20 + 10 + of_both - of_one);
}

#[tokio::test(start_paused = true)]
async fn several_servers_may_share_a_quota() {
    let quota = Quota::new().max_handlers(1, Excess::Refuse);
    let towns = [Town::of(quota.clone()), Town::of(quota)];
    let [mut one, mut other] = [towns[0].connect().await, towns[1].connect().await];
    let _answer = one.call(call("wait", ""));
    towns[0].probe.until_started(1).await;
    soon(other.call(call("echo", ""))).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_calls_are_stuck_leaves_places_for_others() {
    let started = Arc::new(AtomicUsize::new(0));
    let counted = started.clone();
    let stuck = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>()
    };
    let router = Router::new()
        .route("Stuck", stuck.clone())
        .route("InOrder", stuck.ordered())
        .route("Fine", async || tokio::task::yield_now().await);
    let network = MemNetwork::new(5);
    Server::new(network.listen("server").unwrap()).spawn(router);
    for method in ["Stuck", "InOrder"] {
        let connector = Connector::new().dialer(network.dialer("client"));
        let [mut greedy, mut modest] = [
            connector.connect("mem://server").await.unwrap(),
            connector.connect("mem://server").await.unwrap(),
        ];
        // More than there are places for all together.
        let calls: Vec<_> = (0..10_000).map(|_| greedy.call(call(method, ""))).collect();
        settle().await;
        soon(modest.call(call("Fine", ""))).await.unwrap();
        // Those of an ordered route have a place while they wait for their turn.
        let begun = started.swap(0, Ordering::Relaxed);
        assert_eq!(begun, if method == "Stuck" { 4096 } else { 1 });
        drop(calls);
        soon(greedy.drain()).await;
        started.store(0, Ordering::Relaxed);
    }
}
