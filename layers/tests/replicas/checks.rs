//! Replicas that are asked whether they can be called.

use std::{
    collections::BTreeSet,
    error::Error as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use steeple_layers::{
    Kind,
    balance::RoundRobin,
    replicas::{Builder, HealthCheck, Replicas, State},
    resolve::Fixed,
};
use tokio::time::{Instant, sleep};
use tower::layer::util::Identity;

use crate::support::{Call, Fake, MS, Net, answer, are, call, client, client_by, settle, states};

const SECOND: Duration = Duration::from_secs(1);

/// The servers that say they cannot be called.
#[derive(Clone, Default)]
struct Ill(Arc<Mutex<BTreeSet<&'static str>>>);

impl Ill {
    fn says(&self, name: &str) -> Result<(), String> {
        match self.0.lock().unwrap().contains(name) {
            true => Err(format!("{name} is not well")),
            false => Ok(()),
        }
    }

    fn falls(&self, name: &'static str) {
        self.0.lock().unwrap().insert(name);
    }

    fn recovers(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

type Made<P> = Builder<Fixed<&'static str>, Net, Identity, P>;

fn checked<P>(net: &Net, names: &[&'static str], check: HealthCheck<P>) -> Made<P> {
    let names = Fixed::new(names.iter().copied()).unwrap();
    Replicas::builder(names, net.clone()).health_check(check)
}

/// Every second, without chance but for a fifth; one bad answer will do, and two good ones.
fn check(
    ill: &Ill,
) -> HealthCheck<impl Fn(Fake) -> std::future::Ready<Result<(), String>> + use<>> {
    let ill = ill.clone();
    HealthCheck::by(move |fake: Fake| std::future::ready(ill.says(fake.name())))
        .interval(SECOND)
        .unhealthy_after(1)
}

fn state(replicas: &Replicas<Fake>, name: &str) -> State {
    let states = states(replicas);
    states.iter().find(|(one, _)| one == name).unwrap().1
}

/// Waits until an endpoint is in a state; which takes no longer than ten questions.
async fn reaches(replicas: &Replicas<Fake>, name: &str, wanted: State) -> Duration {
    let begin = Instant::now();
    while state(replicas, name) != wanted {
        assert!(begin.elapsed() < 10 * SECOND, "{:?}", states(replicas));
        sleep(10 * MS).await;
    }
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_replica_is_not_called_and_says_why_until_it_is_well() {
    let (net, ill) = (Net::default(), Ill::default());
    let replicas = checked(&net, &["a", "b", "c"], check(&ill)).start();
    settle().await;
    let mut client = client_by(&replicas, RoundRobin::default());
    ill.falls("a");
    ill.falls("b");
    reaches(&replicas, "a", State::Unhealthy).await;
    reaches(&replicas, "b", State::Unhealthy).await;
    let before = (net.calls("a"), net.calls("b"));
    for _ in 0..20 {
        // Although most are unhealthy: they were asked.
        assert_eq!(answer(&mut client).await, "c");
    }
    assert_eq!((net.calls("a"), net.calls("b")), before);
    let reason = replicas.endpoints()[0].reason().unwrap().clone();
    assert_eq!(reason.to_string(), "its health check fails");
    let cause = reason.source().unwrap().to_string();
    assert_eq!(cause, "a is not well");
    // The connection stays.
    assert_eq!((net.dials("a"), net.open("a")), (1, 1));

    ill.recovers("a");
    // Two good answers.
    assert!(reaches(&replicas, "a", State::Live).await > SECOND);
    assert!(replicas.endpoints()[0].reason().is_none());
    let answers: BTreeSet<_> = [answer(&mut client).await, answer(&mut client).await].into();
    assert_eq!(answers, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn so_many_answers_in_a_row_change_the_mind_and_others_begin_anew() {
    let net = Net::default();
    let answers = Arc::new(Mutex::new(
        String::from("+--+---++-++").chars().collect::<Vec<_>>(),
    ));
    let next = answers.clone();
    let check = HealthCheck::by(move |_: Fake| {
        let mut answers = next.lock().unwrap();
        let answer = match answers.is_empty() {
            true => '+',
            false => answers.remove(0),
        };
        std::future::ready(match answer {
            '+' => Ok(()),
            _ => Err("no"),
        })
    });
    let replicas = checked(&net, &["a"], check.interval(SECOND)).start();
    let mut seen = String::new();
    let mut left = 12;
    for _ in 0..2_000 {
        sleep(10 * MS).await;
        let now = answers.lock().unwrap().len();
        if now < left {
            left = now;
            seen.push(match state(&replicas, "a") {
                State::Live => 'L',
                _ => 'U',
            });
        }
    }
    // After each of the answers "+--+---++-++".
    assert_eq!(seen, "LLLLLLUULLLL");
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_called_once_it_has_answered() {
    let net = Net::default();
    let check = HealthCheck::by(async |_: Fake| {
        sleep(500 * MS).await;
        Ok::<_, String>(())
    });
    let replicas = checked(&net, &["a"], check).start();
    settle().await;
    are(&replicas, &[("a", State::Connecting)]);
    let begin = Instant::now();
    let mut client = client(&replicas);
    call(&mut client, Call::within(SECOND)).await.unwrap();
    assert!(begin.elapsed() > 450 * MS);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_healthy_the_check_is_not_believed_unless_it_is_strict() {
    let (net, ill) = (Net::default(), Ill::default());
    ill.falls("a");
    let replicas = checked(&net, &["a"], check(&ill)).start();
    settle().await;
    are(&replicas, &[("a", State::Unhealthy)]);
    assert_eq!(answer(&mut client(&replicas)).await, "a");

    let replicas = checked(&net, &["a"], check(&ill).strict()).start();
    settle().await;
    let mut client = client(&replicas);
    let error = call(&mut client, Call::within(SECOND)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let cause = error.source().unwrap().to_string();
    assert_eq!(cause, "its health check fails");
    // Who does not wait is told at once.
    let mut hasty = Call::within(SECOND);
    hasty.0.set_fail_fast(true);
    let begin = Instant::now();
    let error = call(&mut client, hasty).await.unwrap_err();
    assert_eq!(
        (error.kind(), begin.elapsed()),
        (Kind::Unreachable, Duration::ZERO)
    );

    ill.recovers("a");
    let patient = Call::within(10 * SECOND);
    assert_eq!(call(&mut client, patient).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_not_answered_in_time_is_a_bad_answer_and_so_is_a_panic() {
    let net = Net::default();
    let check = HealthCheck::ping().interval(SECOND).unhealthy_after(1);
    let replicas = checked(&net, &["a", "b"], check.timeout(50 * MS)).start();
    settle().await;
    net.mute("a", true);
    reaches(&replicas, "a", State::Unhealthy).await;
    let reason = replicas.endpoints()[0].reason().unwrap().clone();
    assert_eq!(
        reason.source().unwrap().to_string(),
        "no answer within 50ms"
    );
    assert_eq!(state(&replicas, "b"), State::Live);

    let check = HealthCheck::by(|fake: Fake| async move {
        assert_ne!(fake.name(), "a", "on purpose");
        Ok::<_, String>(())
    });
    let replicas = checked(&net, &["a", "b"], check).start();
    settle().await;
    let states = [("a", State::Unhealthy), ("b", State::Live)];
    are(&replicas, &states);
    let reason = replicas.endpoints()[0].reason().unwrap().clone();
    assert_eq!(reason.source().unwrap().to_string(), "the probe panicked");
}

#[tokio::test(start_paused = true)]
async fn of_several_connections_the_healthy_ones_are_called() {
    let net = Net::default();
    let first = Arc::new(Mutex::new(None));
    let ill = first.clone();
    // The first that is asked is unhealthy, ever.
    let check = HealthCheck::by(move |fake: Fake| {
        let mut ill = ill.lock().unwrap();
        let is_ill = ill.get_or_insert_with(|| fake.clone()).is(&fake);
        std::future::ready(match is_ill {
            true => Err("no"),
            false => Ok(()),
        })
    });
    let replicas = checked(&net, &["a"], check).connections(2).start();
    settle().await;
    are(&replicas, &[("a", State::Live)]);
    let mut client = client(&replicas);
    let ill = first.lock().unwrap().clone().unwrap();
    for _ in 0..10 {
        let calls: Vec<_> = (0..4)
            .map(|_| tower::Service::call(&mut client, Call::default()))
            .collect();
        assert_eq!(steeple_layers::Lifecycle::pending(&ill), 0);
        for call in calls {
            call.await.unwrap();
        }
    }
}
