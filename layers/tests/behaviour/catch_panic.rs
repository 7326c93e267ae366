use std::future::Future;

use steeple_layers::{CatchPanicLayer, Error, Execution, Kind};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::support::Call;

async fn panics_later(_: Call) -> Result<(), Error> {
    tokio::task::yield_now().await;
    panic!("the password is {}", "secret");
}

fn panics_at_once(_: Call) -> std::future::Ready<Result<(), Error>> {
    panic!("at once");
}

#[tokio::test]
async fn a_panic_in_the_call_and_in_the_future_fails_that_call_only() {
    let mut at_once = CatchPanicLayer::new().layer(service_fn(panics_at_once));
    let mut later = CatchPanicLayer::new().layer(service_fn(panics_later));
    for _ in 0..2 {
        let errors = [
            at_once.call(Call::new("Panic")).await.unwrap_err(),
            later.call(Call::new("Panic")).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), Kind::Internal);
            assert_eq!(error.execution(), Execution::MaybeExecuted);
            assert_eq!(error.message(), "the handler panicked");
        }
    }
}

#[tokio::test]
async fn a_hook_decides_what_the_caller_is_told() {
    let layer = CatchPanicLayer::new().message(|panic| format!("sorry: {panic}"));
    let error = |error: Error| error.message().to_owned();
    let at_once = layer.layer(service_fn(panics_at_once));
    let later = layer.layer(service_fn(panics_later));
    let told = [
        at_once.oneshot(Call::new("Panic")).await.map_err(error),
        later.oneshot(Call::new("Panic")).await.map_err(error),
    ];
    assert_eq!(
        told,
        [
            Err("sorry: at once".to_owned()),
            Err("sorry: the password is secret".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_panic_without_text_is_caught_too() {
    let silent = service_fn(async |_: Call| -> Result<(), Error> { std::panic::panic_any(7) });
    let layer = CatchPanicLayer::new().message(|panic| format!("[{panic}]"));
    let error = layer
        .layer(silent)
        .oneshot(Call::new("Panic"))
        .await
        .unwrap_err();
    assert_eq!(error.message(), "[]");
}

#[tokio::test]
async fn a_future_that_panics_again_when_it_is_dropped_is_caught() {
    struct Twice;
    impl Future for Twice {
        type Output = Result<(), Error>;
        fn poll(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Self::Output> {
            panic!("once");
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("twice");
        }
    }
    let service = CatchPanicLayer::new().layer(service_fn(|_: Call| Twice));
    let error = service.oneshot(Call::new("Panic")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
}
