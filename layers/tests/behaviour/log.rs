use std::{
    future::Ready,
    panic::{AssertUnwindSafe, catch_unwind},
};

use steeple_layers::{Error, Kind, LogLayer, log::Describe};
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::{Level, level_filters::LevelFilter};

use super::{
    lines::listen,
    support::{Call, Script, Step, reset, seconds},
};

#[tokio::test(start_paused = true)]
async fn a_success_and_a_failure_are_told_with_what_the_context_knows() {
    let (lines, _guard) = listen(Level::DEBUG);
    let script = Script::new([Step::Late(seconds(3)), Step::Fail(reset())]);
    let client = LogLayer::new().layer(script);
    client.clone().oneshot(Call::new("Get")).await.unwrap();
    assert_eq!(
        lines.take().trim(),
        "DEBUG steeple::call: method=Get attempt=0 outcome=ok elapsed=3s"
    );
    client.oneshot(Call::new("Put")).await.unwrap_err();
    assert_eq!(
        lines.take().trim(),
        "WARN steeple::call: method=Put attempt=0 outcome=connection error elapsed=0ns \
         execution=MaybeExecuted error=reset"
    );
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_tells_its_own_time() {
    let (lines, _guard) = listen(Level::DEBUG);
    let mut call = Call::new("Get").within(seconds(60));
    call.cx.set_attempt(2);
    tokio::time::advance(seconds(5)).await;
    let client = LogLayer::new().layer(Script::new([Step::Late(seconds(1))]));
    client.oneshot(call).await.unwrap();
    assert!(lines.take().contains("attempt=2 outcome=ok elapsed=1s"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_told() {
    let (lines, _guard) = listen(Level::DEBUG);
    let client = LogLayer::new().layer(Script::new([Step::Hang]));
    let _elapsed = tokio::time::timeout(seconds(2), client.oneshot(Call::new("Hang"))).await;
    let line = lines.take();
    assert!(line.starts_with("DEBUG"), "{line}");
    assert!(
        line.contains("method=Hang attempt=0 outcome=dropped elapsed=2s"),
        "{line}"
    );
}

#[tokio::test]
async fn a_call_that_panics_as_it_is_made_is_told() {
    let (lines, _guard) = listen(Level::DEBUG);
    let broken = service_fn(|_: Call| -> Ready<Result<(), Error>> { panic!("broken") });
    let mut client = LogLayer::new().layer(broken);
    let made = catch_unwind(AssertUnwindSafe(|| client.call(Call::new("Break"))));
    assert!(made.is_err());
    let line = lines.take();
    assert!(
        line.contains("method=Break attempt=0 outcome=dropped"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn levels_can_be_chosen_by_outcome_and_off_is_silent() {
    let (lines, _guard) = listen(Level::INFO);
    let layer = LogLayer::new()
        .success(Level::INFO)
        .failure(Kind::Connection, Level::ERROR)
        .failure(Kind::Timeout, LevelFilter::OFF);
    let timeout = Error::new(Kind::Timeout, "late");
    let steps = [Step::Answer, Step::Fail(reset()), Step::Fail(timeout)];
    let client = layer.layer(Script::new(steps));
    for start in [" INFO", "ERROR", ""] {
        let _outcome = client.clone().oneshot(Call::new("Get")).await;
        let told = lines.take();
        assert_eq!(told.is_empty(), start.is_empty(), "{told}");
        assert!(told.starts_with(start), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_description_adds_the_peer_and_the_sizes() {
    #[derive(Clone)]
    struct Words;

    impl Describe<Call, &'static str> for Words {
        type Peer = String;

        fn peer(&self, call: &Call) -> Option<String> {
            Some(format!("10.0.0.{}", call.copies))
        }

        fn request_bytes(&self, _: &Call) -> Option<usize> {
            Some(7)
        }

        fn response_bytes(&self, response: &&'static str) -> Option<usize> {
            Some(response.len())
        }
    }

    let (lines, _guard) = listen(Level::DEBUG);
    let echo = service_fn(async |_: Call| Ok::<_, Error>("hello"));
    let mut call = Call::new("Echo");
    call.copies = 9;
    LogLayer::new()
        .describe(Words)
        .layer(echo)
        .oneshot(call)
        .await
        .unwrap();
    assert_eq!(
        lines.take().trim(),
        "DEBUG steeple::call: method=Echo attempt=0 peer=10.0.0.9 outcome=ok elapsed=0ns \
         request_bytes=7 response_bytes=5"
    );
}
