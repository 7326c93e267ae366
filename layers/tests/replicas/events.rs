//! What a set tells `tracing`.

use std::time::Duration;

use steeple_layers::{
    BoxError, Kind,
    balance::{Choice, pick_fn},
    replicas::{Ejection, HealthCheck, Replicas},
    resolve::{Fixed, Polled, Resolution, Resolver, Version},
};
use tokio::time::sleep;
use tracing::{Level, subscriber::DefaultGuard};

use crate::{
    lines::{Lines, listen},
    support::{Behaviour, Call, Listed, MS, Net, call, client_by, settle},
};

const SECOND: Duration = Duration::from_secs(1);

fn heard() -> (Lines, DefaultGuard) {
    listen(Level::DEBUG)
}

/// Each of these is among the lines that came since the last look, in this order.
fn expect(lines: &Lines, expected: &[&str]) {
    let text = lines.take();
    let mut rest = &*text;
    for part in expected {
        let at = rest.find(part);
        rest = &rest[at.unwrap_or_else(|| panic!("{part} is not in {text}"))..];
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_come_and_go_are_told() {
    let (lines, _guard) = heard();
    let (net, listed) = (Net::default(), Listed::new(&["a"]));
    let replicas = Replicas::builder(listed.clone(), net.clone()).dial_limit(2);
    let _replicas = replicas.start();
    settle().await;
    let live = " INFO steeple::replicas: live address=\"a\" link=0\n";
    expect(&lines, &[live]);
    net.stop("a");
    sleep(SECOND).await;
    let lost = " WARN steeple::replicas: not connected address=\"a\" link=0 error=the connection was lost wait=";
    let given_up = "ERROR steeple::replicas: given up address=\"a\" link=0 error=a is down\n";
    expect(&lines, &[lost, given_up]);
    listed.set(&["b"]);
    settle().await;
    let parts = [
        " INFO steeple::replicas: removed address=\"a\"\n",
        " INFO steeple::replicas: live address=\"b\" link=0\n",
    ];
    let text = lines.take();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_ejection_its_probe_and_its_end_are_told() {
    let (lines, _guard) = heard();
    let net = Net::default();
    let names = Fixed::new(["a", "b"]).unwrap();
    let replicas = Replicas::builder(names, net.clone()).ejection(Ejection::after(1));
    let replicas = replicas.start();
    settle().await;
    lines.take();
    net.behave("a", Behaviour::Fail(Kind::Unavailable));
    let mut client = client_by(&replicas, pick_fn(|_, _| Choice::Member(0)));
    call(&mut client, Call::default()).await.unwrap_err();
    settle().await;
    let change =
        |health| format!(" INFO steeple::replicas: health changed address=\"a\" health={health}\n");
    expect(&lines, &[&change("Ejected")]);
    net.behave("a", Behaviour::Answer);
    sleep(10 * SECOND).await;
    expect(&lines, &[&change("Probing")]);
    call(&mut client, Call::default()).await.unwrap();
    settle().await;
    expect(&lines, &[&change("Well")]);
}

#[tokio::test(start_paused = true)]
async fn what_a_health_check_finds_is_told() {
    let (lines, _guard) = heard();
    let net = Net::default();
    let check = HealthCheck::ping().interval(SECOND).timeout(100 * MS);
    let check = check.unhealthy_after(1).healthy_after(1);
    let replicas = Replicas::builder(Fixed::one("a"), net.clone()).health_check(check);
    let _replicas = replicas.start();
    settle().await;
    net.mute("a", true);
    sleep(2 * SECOND).await;
    let ill = " WARN steeple::replicas: unhealthy address=\"a\" link=0 error=its health check fails cause=no answer";
    expect(&lines, &[ill]);
    net.mute("a", false);
    sleep(2 * SECOND).await;
    expect(
        &lines,
        &[" INFO steeple::replicas: healthy address=\"a\" link=0\n"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_or_breaks_its_contract_is_told() {
    let (lines, _guard) = heard();
    let failing = Polled::<&'static str>::new(async || Err("nobody there".into()));
    let _replicas = Replicas::new(failing, Net::default());
    settle().await;
    let failed =
        " WARN steeple::replicas: not resolved error=the endpoints could not be resolved\n";
    expect(&lines, &[failed]);

    struct Versioned;

    impl Resolver<&'static str> for Versioned {
        fn is_constant(&self) -> bool {
            true
        }

        async fn resolve(&self, _: Option<&Version>) -> Result<Resolution<&'static str>, BoxError> {
            Ok(Resolution::versioned(vec!["a".into()], 1))
        }
    }

    let _replicas = Replicas::new(Versioned, Net::default());
    settle().await;
    let broken =
        "ERROR steeple::replicas: no call can succeed error=a constant resolver gave a version\n";
    expect(&lines, &[broken]);
}
