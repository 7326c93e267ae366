//! Calls that were started: they run by themselves, for several who wait, until they are cancelled.

use steeple::{Client, Error, Execution, Kind, Options, Overflow, Request, Response, Started};
use tokio_test::{assert_pending, task};
use tower::{ServiceBuilder, service_fn};

use crate::{
    calculator, connect,
    support::{FOREVER, Gate, Probe, dial, echo, settle, soon},
};

#[tokio::test(start_paused = true)]
async fn a_started_call_is_sent_at_once_and_in_order() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut client = Client::new(channel);
    let started = ["a", "b", "c"].map(|method| client.call::<()>(method, "").start().unwrap());
    for method in ["a", "b", "c"] {
        server.expect_request(method).await;
    }
    assert!(started.iter().all(|call| !call.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn several_tasks_wait_for_one_answer() {
    let probe = Probe::default();
    let (mut client, _server) = connect(Options::new(), probe.service());
    let call: Started<String> = client.call("wait", "x").start().unwrap();
    let waiting = [(); 3].map(|()| tokio::spawn(call.clone()));
    probe.until_started(1).await;
    probe.ring();
    for waiting in waiting {
        assert_eq!(soon(waiting).await.unwrap().unwrap(), "x");
    }
    assert!(call.is_finished());
    assert_eq!(call.await.unwrap(), "x");
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_get_the_same_error() {
    let (mut client, _server) = connect(Options::new(), Probe::default().service());
    let call = client.call::<()>("no such", "").start().unwrap();
    for call in [call.clone(), call] {
        let error = soon(call).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unimplemented);
        assert!(error.to_string().contains("no such"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_error_is_returned_at_once() {
    let options = Options::new()
        .max_pending(0)
        .overflow(Overflow::RejectNewest)
        .max_calls(1);
    let (mut client, _server) = connect(options, Probe::default().service());
    let first = client.call::<()>("never", "").start().unwrap();
    let error = client.call::<()>("never", "").start().unwrap_err();
    assert_eq!(error.kind(), Kind::Overflow);
    drop(first);
    client.service().close();
    settle().await;
    let error = client.call::<()>("never", "").start().unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_it_here_and_there_and_may_be_repeated() {
    let probe = Probe::default();
    let (mut client, _server) = connect(Options::new(), probe.service());
    let call = client.call::<()>("never", "").start().unwrap();
    let waiting = tokio::spawn(call.clone());
    probe.until_started(1).await;
    call.cancel();
    call.cancel();
    let error = soon(waiting).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Cancelled, Execution::MaybeExecuted)
    );
    probe.until_dropped(1).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_when_it_is_cancelled_never_is() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut client = Client::new(channel);
    let call = client.call::<()>("a", "").start().unwrap();
    call.cancel();
    drop(client.call::<()>("b", "").start().unwrap());
    let _kept = client.call::<()>("c", "").start().unwrap();
    settle().await;
    server.expect_request("c").await;
    let error = soon(call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
}

#[test]
fn a_call_whose_runtime_ends_before_it_ran_ends_too() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let first = runtime();
    let entered = first.enter();
    let (mut client, _server) = connect(Options::new(), Probe::default().service());
    let call = client.call::<()>("never", "").start().unwrap();
    drop(entered);
    drop(first);
    let error = runtime().block_on(call).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn cancelling_an_answered_call_changes_nothing() {
    let (mut client, _server) = connect(Options::new(), calculator());
    let mut call = client.call::<i32>("add", &(2, 3)).start().unwrap();
    assert_eq!(soon(&mut call).await.unwrap(), 5);
    call.cancel();
    assert_eq!(call.await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_cancels_and_a_detached_one_does_not() {
    let probe = Probe::default();
    let (mut client, _server) = connect(Options::new(), probe.service());
    let call = client.call::<()>("wait", "").start().unwrap();
    let other = call.clone();
    probe.until_started(1).await;
    drop(call);
    settle().await;
    assert_eq!(probe.dropped(), 0);
    drop(other);
    probe.until_dropped(1).await;

    client.call::<()>("wait", "").start().unwrap().detach();
    probe.until_started(2).await;
    probe.ring();
    settle().await;
    assert_eq!((probe.finished(), probe.dropped()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_not_ready_is_called_when_it_is_though_nobody_awaits() {
    let probe = Probe::default();
    let gate = Gate::new(probe.service());
    let mut client = Client::new(gate.clone());
    let call = client.call::<String>("echo", "x").start().unwrap();
    settle().await;
    assert_eq!(probe.started(), 0);
    gate.open();
    settle().await;
    assert_eq!(probe.finished(), 1);
    assert_eq!(call.await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_fails_the_call_and_hangs_nobody() {
    let panics = service_fn(async |_: Request| -> Result<Response, Error> {
        tokio::task::yield_now().await;
        panic!("boom")
    });
    let call = Client::new(panics).call::<()>("m", "").start().unwrap();
    let error = soon(call).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Internal, Execution::MaybeExecuted)
    );
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_no_longer_waits_is_not_woken() {
    let probe = Probe::default();
    let (mut client, _server) = connect(Options::new(), probe.service());
    let call = client.call::<String>("wait", "x").start().unwrap();
    let mut first = task::spawn(call.clone());
    let mut second = task::spawn(call);
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(first);
    probe.until_started(1).await;
    probe.ring();
    settle().await;
    assert!(second.is_woken());
    assert_eq!(soon(second).await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_call_under_layers_is_started_too() {
    let (client, _server) = connect(Options::new(), echo());
    let stack = ServiceBuilder::new()
        .map_err(steeple::from_tower)
        .timeout(FOREVER)
        .concurrency_limit(1)
        .service(client.into_service());
    let mut client = Client::new(stack);
    let calls = ["a", "b", "c"].map(|text| client.call::<String>("echo", text).start().unwrap());
    for (call, text) in calls.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(soon(call).await.unwrap(), text);
    }
}
