//! Replicas whose calls fail.

use std::time::Duration;

use steeple_layers::{
    Kind,
    balance::{Choice, LeastPending, RoundRobin, pick_fn},
    replicas::{Ejection, Replicas, State},
    resolve::Fixed,
};
use tokio::time::sleep;
use tower::Service;

use crate::support::{
    Behaviour, Call, Fake, MS, Net, answer, are, call, client, client_by, settle,
};

const SECOND: Duration = Duration::from_secs(1);

async fn set(net: &Net, names: &[&'static str]) -> Replicas<Fake> {
    let replicas = Replicas::new(Fixed::new(names.iter().copied()).unwrap(), net.clone());
    settle().await;
    replicas
}

/// Makes calls to the replica at a place, whatever comes of them.
async fn calls(replicas: &Replicas<Fake>, place: usize, count: usize) {
    let mut client = client_by(replicas, pick_fn(move |_, _| Choice::Member(place)));
    for _ in 0..count {
        let _ = call(&mut client, Call::default()).await;
    }
    sleep(MS).await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_refuses_everything_gets_next_to_no_calls() {
    fastrand::seed(1);
    let net = Net::default();
    for name in ["a", "b"] {
        net.behave(name, Behaviour::AnswerAfter(5 * MS));
    }
    net.behave("bad", Behaviour::Fail(Kind::Unavailable));
    let names = Fixed::new(["a", "b", "bad"]).unwrap();
    // Also without ejection.
    let replicas = Replicas::builder(names, net.clone())
        .ejection(Ejection::never())
        .start();
    settle().await;
    let mut client = client(&replicas);
    for _ in 0..2_000 {
        let _ = call(&mut client, Call::default()).await;
    }
    let bad = net.calls("bad");
    assert!((1..40).contains(&bad), "{bad} of 2000");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_fails_five_times_in_a_row_is_ejected_and_comes_back_by_one_probe() {
    let net = Net::default();
    let replicas = set(&net, &["a", "b", "c"]).await;
    net.behave("a", Behaviour::Fail(Kind::Internal));
    calls(&replicas, 0, 4).await;
    are(
        &replicas,
        &[("a", State::Live), ("b", State::Live), ("c", State::Live)],
    );
    calls(&replicas, 0, 1).await;
    are(
        &replicas,
        &[
            ("a", State::Ejected),
            ("b", State::Live),
            ("c", State::Live),
        ],
    );
    let reason = replicas.endpoints()[0].reason().unwrap().to_string();
    assert_eq!(reason, "5 calls in a row have failed");

    let mut client = client_by(&replicas, RoundRobin::default());
    for _ in 0..100 {
        answer(&mut client).await;
    }
    assert_eq!(net.calls("a"), 5);

    // The probe fails.
    sleep(5 * SECOND).await;
    are(
        &replicas,
        &[
            ("a", State::Probing),
            ("b", State::Live),
            ("c", State::Live),
        ],
    );
    net.behave("a", Behaviour::Hang);
    let mut probes = Vec::new();
    for _ in 0..9 {
        let mut probe = tokio_test::task::spawn(client.call(Call::default()));
        let _ = probe.poll();
        probes.push(probe);
    }
    assert_eq!(net.calls("a"), 6);
    drop(probes);
    sleep(MS).await;
    are(
        &replicas,
        &[
            ("a", State::Ejected),
            ("b", State::Live),
            ("c", State::Live),
        ],
    );

    // The next one comes later, and succeeds.
    net.behave("a", Behaviour::Answer);
    sleep(10 * SECOND).await;
    are(
        &replicas,
        &[
            ("a", State::Probing),
            ("b", State::Live),
            ("c", State::Live),
        ],
    );
    for _ in 0..3 {
        answer(&mut client).await;
    }
    sleep(MS).await;
    are(
        &replicas,
        &[("a", State::Live), ("b", State::Live), ("c", State::Live)],
    );
}

#[tokio::test(start_paused = true)]
async fn at_most_half_of_the_replicas_are_ejected_and_never_the_last() {
    let net = Net::default();
    let names = ["a", "b", "c", "d"];
    let replicas = set(&net, &names).await;
    for name in names {
        net.behave(name, Behaviour::Fail(Kind::Unavailable));
    }
    let mut client = client_by(&replicas, RoundRobin::default());
    for _ in 0..100 {
        let _ = call(&mut client, Call::default()).await;
        sleep(MS).await;
    }
    let ejected = |state| {
        replicas
            .endpoints()
            .iter()
            .filter(|one| one.state() == state)
            .count()
    };
    assert_eq!((ejected(State::Ejected), ejected(State::Live)), (2, 2));

    let alone = set(&net, &["a"]).await;
    calls(&alone, 0, 20).await;
    are(&alone, &[("a", State::Live)]);
}

#[tokio::test(start_paused = true)]
async fn when_more_than_half_are_bad_health_is_disregarded() {
    let net = Net::default();
    let replicas = set(&net, &["a", "b", "c", "d"]).await;
    net.behave("a", Behaviour::Fail(Kind::Unavailable));
    calls(&replicas, 0, 5).await;
    net.behave("b", Behaviour::Fail(Kind::Unavailable));
    calls(&replicas, 0, 5).await;
    assert_eq!(replicas.replicas().len(), 2);
    net.stop("c");
    sleep(MS).await;
    assert_eq!(replicas.replicas().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_a_new_start() {
    let net = Net::default();
    let replicas = set(&net, &["a", "b"]).await;
    net.behave("a", Behaviour::Fail(Kind::Unavailable));
    calls(&replicas, 0, 5).await;
    are(&replicas, &[("a", State::Ejected), ("b", State::Live)]);
    net.stop("a");
    net.start("a");
    settle().await;
    sleep(20 * MS).await;
    are(&replicas, &[("a", State::Live), ("b", State::Live)]);
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_application_do_not_count_as_failures() {
    let net = Net::default();
    let replicas = set(&net, &["a", "b"]).await;
    for kind in [Kind::Application, Kind::Unimplemented, Kind::Cancelled] {
        net.behave("a", Behaviour::Fail(kind));
        calls(&replicas, 0, 10).await;
    }
    are(&replicas, &[("a", State::Live), ("b", State::Live)]);
    assert_eq!(replicas.get("a").unwrap().member().failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_late_starts_slowly() {
    fastrand::seed(3);
    let net = Net::default();
    net.stop("late");
    for name in ["old", "late"] {
        net.behave(name, Behaviour::AnswerAfter(10 * MS));
    }
    let replicas = Replicas::builder(Fixed::new(["old", "late"]).unwrap(), net.clone())
        .slow_start(100 * SECOND)
        .start();
    sleep(200 * SECOND).await;
    net.start("late");
    sleep(2 * SECOND).await;
    let mut client = client_by(&replicas, LeastPending::default());
    let mut share = async || {
        let before = (net.calls("old"), net.calls("late"));
        for _ in 0..20 {
            let calls: Vec<_> = (0..22).map(|_| client.call(Call::default())).collect();
            for call in calls {
                call.await.unwrap();
            }
        }
        (net.calls("old") - before.0, net.calls("late") - before.1)
    };
    let (old, late) = share().await;
    assert_eq!((old, late), (20 * 20, 20 * 2));
    sleep(100 * SECOND).await;
    let (old, late) = share().await;
    assert_eq!((old, late), (20 * 11, 20 * 11));
}
