use std::time::Duration;

use steeple_layers::{Error, InheritLayer, TimeoutLayer, inherit};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use super::support::{Call, Script, seconds};

/// Calls a handler that works for a second and then makes a call; what that call has left of its time.
async fn nested(outer: Call, inner: Call) -> Option<Duration> {
    let script = Script::default();
    let client = TimeoutLayer::new(seconds(20)).layer(script.clone());
    let server = InheritLayer::new().layer(service_fn(move |_: Call| {
        let (mut client, inner) = (client.clone(), inner.clone());
        async move {
            sleep(seconds(1)).await;
            client.call(inner).await
        }
    }));
    server.oneshot(outer).await.unwrap();
    let deadline = script.played().calls[0].deadline();
    deadline.map(|deadline| deadline - Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_nested_call_has_what_its_handler_has_left_and_may_have_less() {
    let outer = || Call::new("Outer").within(seconds(5));
    let inner = || Call::new("Inner");
    assert_eq!(nested(outer(), inner()).await, Some(seconds(4)));
    let short = inner().within(seconds(3));
    assert_eq!(nested(outer(), short).await, Some(seconds(2)));
    let long = inner().within(seconds(60));
    assert_eq!(nested(outer(), long).await, Some(seconds(4)));
    assert_eq!(nested(Call::new("Outer"), inner()).await, Some(seconds(20)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_independent_inherits_nothing() {
    let mut inner = Call::new("Inner");
    inner.cx.set_independent(true);
    let outer = Call::new("Outer").within(seconds(5));
    assert_eq!(nested(outer, inner).await, Some(seconds(20)));
}

#[tokio::test(start_paused = true)]
async fn handlers_on_one_thread_do_not_see_each_others_deadline() {
    let server = ServiceBuilder::new()
        .layer(InheritLayer::new())
        .service(service_fn(async |call: Call| {
            assert_eq!(inherit::deadline(), call.cx.deadline());
            sleep(seconds(1)).await;
            assert_eq!(inherit::deadline(), call.cx.deadline());
            Ok::<_, Error>(())
        }));
    let calls = [Some(3), None, Some(7)].map(|time| {
        let call = Call::new("Outer");
        let call = match time {
            Some(time) => call.within(seconds(time)),
            None => call,
        };
        tokio::spawn(server.clone().oneshot(call))
    });
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(inherit::deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_leaves_no_deadline_behind() {
    let server = InheritLayer::new().layer(service_fn(async |_: Call| -> Result<(), Error> {
        panic!("on purpose")
    }));
    let call = Call::new("Outer").within(seconds(1));
    let task = tokio::spawn(server.oneshot(call));
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(inherit::deadline(), None);
}
