//! The ways in which a layer is used.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use tower_layer::Layer;
use tower_service::Service;

use super::{Answer, Conduct, Ledger, Probe, Readiness, Simulated};

/// Calls in a row on one service. One is not enough: the first finds everything as the layer was made.
const CALLS: usize = 5;

/// Clones that call at the same time, which is more than there is room for.
const CLONES: usize = 4;

const USUAL: Conduct = Conduct {
    room: 1,
    readiness: Readiness::Prompt,
    answer: Answer::Late,
    failing: 0,
};

pub(super) async fn run_all<L, F, R, T>(probe: &mut Probe<'_, L, F, T>)
where
    L: Layer<Simulated<T>>,
    L::Service: Service<R> + Clone,
    F: Fn() -> R,
{
    one_after_another(probe).await;
    clones(probe).await;
    dropped_services(probe).await;
    dropped_calls(probe).await;
    broken(probe).await;
}

async fn one_after_another<L, F, R, T>(probe: &mut Probe<'_, L, F, T>)
where
    L: Layer<Simulated<T>>,
    L::Service: Service<R>,
    F: Fn() -> R,
{
    let hesitant = Conduct {
        readiness: Readiness::Hesitant,
        ..USUAL
    };
    let failing = Conduct {
        failing: 4,
        ..hesitant
    };
    for (scenario, conduct) in [
        ("calls one after another", USUAL),
        ("a service that is not ready at once", hesitant),
        ("a service that fails at first", failing),
    ] {
        let requests: Vec<_> = (0..CALLS).map(|_| (probe.request)()).collect();
        let play = |mut service: L::Service, _| async move {
            for request in requests {
                let _answered_or_not = call(&mut service, request).await;
            }
        };
        probe.play(scenario, conduct, play).await;
    }
}

async fn clones<L, F, R, T>(probe: &mut Probe<'_, L, F, T>)
where
    L: Layer<Simulated<T>>,
    L::Service: Service<R> + Clone,
    F: Fn() -> R,
{
    let crowded = Conduct { room: 2, ..USUAL };
    let failing = Conduct {
        failing: 5,
        ..crowded
    };
    for (scenario, conduct) in [
        ("more clones than there is room for", crowded),
        ("many clones of a service that fails at first", failing),
    ] {
        let requests: Vec<Vec<_>> = (0..CLONES)
            .map(|_| (0..CALLS).map(|_| (probe.request)()).collect())
            .collect();
        let play = |service: L::Service, _| async move {
            let callers = requests.into_iter().map(|requests| {
                let mut service = service.clone();
                Box::pin(async move {
                    for request in requests {
                        let _answered_or_not = call(&mut service, request).await;
                    }
                }) as Pin<Box<dyn Future<Output = ()> + '_>>
            });
            all(callers.collect()).await;
        };
        probe.play(scenario, conduct, play).await;
    }

    let (first, second) = ((probe.request)(), (probe.request)());
    let play = |mut service: L::Service, _| async move {
        if ready(&mut service).await.is_err() {
            return;
        }
        let mut clone = service.clone();
        let _answered_or_not = service.call(first).await;
        let _answered_or_not = call(&mut clone, second).await;
    };
    probe
        .play("a clone of a service that is ready", USUAL, play)
        .await;
}

async fn dropped_services<L, F, R, T>(probe: &mut Probe<'_, L, F, T>)
where
    L: Layer<Simulated<T>>,
    L::Service: Service<R> + Clone,
    F: Fn() -> R,
{
    let request = (probe.request)();
    let play = |mut service: L::Service, ledger: Arc<Ledger>| async move {
        let mut clone = service.clone();
        let _ready_or_not = ready(&mut service).await;
        drop(service);
        ledger.check_all_given_back("when the service that was ready had been dropped");
        let _answered_or_not = call(&mut clone, request).await;
    };
    probe
        .play("a service that was ready is dropped", USUAL, play)
        .await;

    let play = |mut service: L::Service, ledger: Arc<Ledger>| async move {
        let _ready_or_not = ready(&mut service).await;
        let clone = service.clone();
        drop(service);
        ledger.check_all_given_back("by a clone of a service that was ready");
        drop(clone);
    };
    probe
        .play("a clone outlives the service that was ready", USUAL, play)
        .await;
}

async fn dropped_calls<L, F, R, T>(probe: &mut Probe<'_, L, F, T>)
where
    L: Layer<Simulated<T>>,
    L::Service: Service<R>,
    F: Fn() -> R,
{
    let hanging = Conduct {
        answer: Answer::Never,
        ..USUAL
    };
    for (scenario, polls) in [
        ("a call is dropped before it was polled", 0),
        ("a call is dropped while it runs", 3),
    ] {
        let request = (probe.request)();
        let play = |mut service: L::Service, ledger: Arc<Ledger>| async move {
            if ready(&mut service).await.is_err() {
                return;
            }
            let mut call = Box::pin(service.call(request));
            for _ in 0..polls {
                if poll_once(call.as_mut()).await.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(call);
            ledger.check_all_given_back("when its future had been dropped");
        };
        probe.play(scenario, hanging, play).await;
    }
}

async fn broken<L, F, R, T>(probe: &mut Probe<'_, L, F, T>)
where
    L: Layer<Simulated<T>>,
    L::Service: Service<R>,
    F: Fn() -> R,
{
    let broken = Conduct {
        readiness: Readiness::Broken,
        ..USUAL
    };
    let request = (probe.request)();
    let play = |mut service: L::Service, _| async move {
        let _failed = call(&mut service, request).await;
    };
    probe
        .play("a service whose readiness fails", broken, play)
        .await;
}

async fn ready<S: Service<R>, R>(service: &mut S) -> Result<(), S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await
}

async fn call<S: Service<R>, R>(service: &mut S, request: R) -> Result<S::Response, S::Error> {
    ready(service).await?;
    service.call(request).await
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Polls all until all are over.
async fn all(mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        match futures.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}
