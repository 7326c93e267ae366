//! Batches: calls that leave together.

use std::{sync::Arc, time::Duration};

use steeple::{Batch, Client, Error, Execution, Item, Kind, Options, Overflow, Request, Response};
use tokio_test::{assert_pending, task};
use tower::{ServiceBuilder, service_fn};

use crate::{
    calculator, connect,
    support::{Probe, call, dial, echo, one_way, response, settle, soon},
};

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> (Kind, Execution) {
    let error = result.unwrap_err();
    (error.kind(), error.execution())
}

#[tokio::test(start_paused = true)]
async fn calls_of_several_types_and_messages_go_in_one_write() {
    let (client, server) = connect(Options::new(), calculator());
    client.service().handshaken().await.unwrap();
    let batch = client.batch();
    let sum: Item<i32> = batch.call("add", &(2, 3)).unwrap();
    let text = batch.call::<String>("echo", "x").unwrap();
    let more: Vec<Item<u32>> = (0..510).map(|n| batch.call("echo", &n).unwrap()).collect();
    batch.notify("note", &7).unwrap();
    assert_eq!(batch.len(), 513);

    let before = client.service().stats().write_calls;
    soon(batch.run()).await.unwrap();
    let stats = client.service().stats();
    assert_eq!(stats.write_calls - before, 1);
    assert_eq!((stats.calls.ok(), stats.one_way_sent), (512, 1));
    assert_eq!(sum.take().unwrap(), 5);
    assert_eq!(text.take().unwrap(), "x");
    for (n, item) in (0..).zip(more) {
        assert_eq!(item.take().unwrap(), n);
    }
    settle().await;
    assert_eq!(server.stats().one_way_received, 1);
}

#[tokio::test(start_paused = true)]
async fn who_runs_a_batch_is_woken_once() {
    let (client, mut server) = dial(Options::new());
    server.shake_hands().await;
    let batch = Client::new(client).batch();
    let items = [(); 3].map(|()| batch.call::<()>("m", "").unwrap());
    let mut run = task::spawn(batch.run());
    assert_pending!(run.poll());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.expect_request("m").await.id);
    }
    for id in ids {
        assert!(!run.is_woken());
        server.send(response(id)).await;
        settle().await;
    }
    assert!(run.is_woken());
    soon(run).await.unwrap();
    for item in items {
        item.take().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn several_tasks_add_and_each_awaits_its_own_item() {
    let (client, _server) = connect(Options::new(), calculator());
    let batch = Arc::new(client.batch());
    let adding: Vec<_> = (0..10)
        .map(|n| {
            let batch = batch.clone();
            tokio::spawn(async move { batch.call::<i32>("add", &(n, 1))?.await })
        })
        .collect();
    settle().await;
    assert_eq!(batch.len(), 10);
    batch.run().await.unwrap();
    for (n, added) in (0..).zip(adding) {
        assert_eq!(soon(added).await.unwrap().unwrap(), n + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_empty_after_a_run_and_can_be_used_again() {
    let (client, _server) = connect(Options::new(), calculator());
    let batch = client.batch();
    batch.run().await.unwrap();
    for n in 0..3 {
        let item = batch.call::<i32>("add", &(n, 1)).unwrap();
        batch.run().await.unwrap();
        assert!(batch.is_empty());
        assert_eq!(item.take().unwrap(), n + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_deadline_ends_all_and_finished_items_keep_their_results() {
    let probe = Probe::default();
    let (client, _server) = connect(Options::new(), probe.service());
    let layered = ServiceBuilder::new()
        .map_err(Error::from)
        .service(client.service().clone());
    let stacks = [
        run_out(client.batch()).await,
        run_out(Client::new(layered).batch()).await,
        run_out(Client::new(probe.service()).batch()).await,
    ];
    for (slow, fast) in stacks {
        assert_eq!(kind(slow), (Kind::Timeout, Execution::MaybeExecuted));
        assert_eq!(fast.unwrap(), "x");
    }
}

async fn run_out<S>(batch: Batch<S>) -> (Result<(), Error>, Result<String, Error>)
where
    S: tower::Service<Request, Response = Response, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let slow = batch.call("never", "").unwrap();
    let fast = batch.call("echo", "x").unwrap();
    let run = batch.run().timeout(Duration::from_millis(100));
    soon(run).await.unwrap();
    (slow.take(), fast.take())
}

#[tokio::test(start_paused = true)]
async fn each_item_has_its_own_error() {
    let (client, _server) = connect(Options::new(), Probe::default().service());
    let batch = client.batch();
    let unknown = batch.call::<()>("no such", "").unwrap();
    let mut oversized = Request::new("echo", "".into());
    oversized.metadata_mut().insert("", "no name");
    let unencodable = batch.request::<()>(oversized).unwrap();
    let fine = batch.call::<String>("echo", "x").unwrap();
    batch.run().await.unwrap();
    assert_eq!(unknown.take().unwrap_err().kind(), Kind::Unimplemented);
    assert_eq!(
        kind(unencodable.take()),
        (Kind::Invalid, Execution::NotSent)
    );
    assert_eq!(fine.take().unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_all_of_a_batch_or_for_none() {
    let probe = Probe::default();
    let options = Options::new()
        .max_calls(4)
        .max_pending(3)
        .overflow(Overflow::RejectNewest);
    let (mut client, _server) = connect(options, probe.service());
    let held = [(); 2].map(|()| client.call::<()>("never", "").start().unwrap());
    let batch = client.batch();

    // Two slots are left: too few for three at once, which then wait, and too few places for four.
    let items = [(); 4].map(|()| batch.call::<()>("echo", "").unwrap());
    let error = batch.run().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Overflow, Execution::NotSent)
    );
    assert!(error.to_string().contains("max_pending is 3"), "{error}");
    for item in items {
        assert_eq!(kind(item.take()), (Kind::Overflow, Execution::NotSent));
    }
    settle().await;
    assert_eq!(probe.started(), 2);

    let items = [(); 3].map(|()| batch.call::<()>("echo", "").unwrap());
    soon(batch.run()).await.unwrap();
    for item in items {
        item.take().unwrap();
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_batch_longer_than_the_limits_is_refused_and_they_are_named() {
    let options = Options::new().max_calls(4).max_pending(5);
    let (client, _server) = connect(options, echo());
    let batch = client.batch();
    for _ in 0..6 {
        drop(batch.call::<()>("echo", "").unwrap());
    }
    let error = batch.run().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a batch of 6 calls is longer than max_calls of 4 and max_pending of 5"
    );
    assert_eq!(client.service().stats().calls.errors(Kind::Overflow), 6);
}

#[tokio::test(start_paused = true)]
async fn where_the_oldest_gives_way_a_batch_drives_out_as_many_as_it_needs() {
    let probe = Probe::default();
    let options = Options::new().max_calls(1).max_pending(3);
    let (mut client, _server) = connect(options, probe.service());
    let first = client.call::<()>("wait", "").start().unwrap();
    probe.until_started(1).await;
    let waiting = [(); 3].map(|()| client.call::<()>("echo", "").start().unwrap());
    let batch = client.batch();
    let items = [(); 2].map(|()| batch.call::<()>("echo", "").unwrap());
    let run = tokio::spawn(batch.run());
    settle().await;
    probe.ring();
    soon(run).await.unwrap().unwrap();
    for item in items {
        item.take().unwrap();
    }
    let [oldest, older, newest] = waiting;
    assert_eq!(kind(soon(oldest).await).0, Kind::Overflow);
    assert_eq!(kind(soon(older).await).0, Kind::Overflow);
    soon(newest).await.unwrap();
    soon(first).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_cancels_what_is_not_answered() {
    let probe = Probe::default();
    let (client, _server) = connect(Options::new(), probe.service());
    let layered = ServiceBuilder::new()
        .map_err(Error::from)
        .service(client.service().clone());
    give_up(client.batch(), &probe).await;
    give_up(Client::new(layered).batch(), &probe).await;
}

async fn give_up<S>(batch: Batch<S>, probe: &Probe)
where
    S: tower::Service<Request, Response = Response, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let (started, dropped) = (probe.started(), probe.dropped());
    let slow = [(); 2].map(|()| batch.call::<()>("never", "").unwrap());
    let fast = batch.call::<String>("echo", "x").unwrap();
    let mut run = task::spawn(batch.run());
    assert_pending!(run.poll());
    probe.until_started(started + 3).await;
    settle().await;
    drop(run);
    probe.until_dropped(dropped + 2).await;
    for item in slow {
        assert_eq!(
            kind(soon(item).await),
            (Kind::Cancelled, Execution::MaybeExecuted)
        );
    }
    assert_eq!(fast.take().unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_batch_that_is_not_run_are_told() {
    let (client, _server) = connect(Options::new(), echo());
    let batch = client.batch();
    let early = batch.call::<()>("echo", "").unwrap();
    assert!(!early.is_finished());
    // It may yet go out, with a run to come.
    assert_eq!(
        kind(early.take()),
        (Kind::Invalid, Execution::MaybeExecuted)
    );
    let dropped = batch.call::<()>("echo", "").unwrap();
    drop(batch.run());
    assert_eq!(
        kind(soon(dropped).await),
        (Kind::Cancelled, Execution::NotSent)
    );
    let forgotten = batch.call::<()>("echo", "").unwrap();
    drop(batch);
    assert_eq!(
        kind(soon(forgotten).await),
        (Kind::Cancelled, Execution::NotSent)
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_on_a_closed_connection_is_refused() {
    let (client, _server) = connect(Options::new(), echo());
    client.service().close();
    settle().await;
    let batch = client.batch();
    let item = batch.call::<()>("echo", "").unwrap();
    assert_eq!(batch.run().await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(kind(item.take()), (Kind::Closed, Execution::NotSent));
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_connection_is_lost_keeps_what_was_answered() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let batch = Client::new(channel).batch();
    let answered = batch.call::<()>("a", "").unwrap();
    let lost = batch.call::<()>("b", "").unwrap();
    let run = tokio::spawn(batch.run());
    let first = server.expect_request("a").await.id;
    server.expect_request("b").await;
    server.send(response(first)).await;
    settle().await;
    drop(server);
    soon(run).await.unwrap().unwrap();
    answered.take().unwrap();
    let lost = kind(lost.take());
    assert_eq!(lost, (Kind::Connection, Execution::MaybeExecuted));
}

#[tokio::test(start_paused = true)]
async fn large_bodies_of_a_batch_go_in_chunks_behind_its_small_calls() {
    let (client, _server) = connect(Options::new(), echo());
    let batch = client.batch();
    let large: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let items = [(); 3].map(|()| batch.call::<Vec<u8>>("echo", large.clone()).unwrap());
    let small = batch.call::<String>("echo", "x").unwrap();
    let run = tokio::spawn(batch.run());
    assert_eq!(soon(small).await.unwrap(), "x");
    assert!(!run.is_finished());
    soon(run).await.unwrap().unwrap();
    for item in items {
        assert!(item.take().unwrap() == large);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_batch_that_would_have_to_wait_refuses_the_batch() {
    let options = Options::new().write_buffer(1000);
    let (channel, mut server) = dial(options);
    server.shake_hands().await;
    // The driver has had no turn, so this is still there.
    channel.notify(call("note", [0; 1000])).unwrap();
    let batch = Client::new(channel).batch();
    let item = batch.call::<()>("a", "").unwrap();
    batch.notify("b", "").unwrap();
    let error = batch.run().await.unwrap_err();
    assert!(
        error.to_string().contains("write_buffer of 1000"),
        "{error}"
    );
    assert_eq!(kind(item.take()), (Kind::Overflow, Execution::NotSent));
    server.expect(one_way("note").body([0; 1000])).await;
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn over_any_other_service_the_calls_are_made_one_by_one_without_waiting() {
    let probe = Probe::default();
    let batch = Client::new(probe.service()).batch();
    let items = [(); 3].map(|()| batch.call::<String>("wait", "x").unwrap());
    let run = tokio::spawn(batch.run());
    probe.until_started(3).await;
    probe.ring();
    soon(run).await.unwrap().unwrap();
    for item in items {
        assert_eq!(item.take().unwrap(), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_takes_one_call_at_a_time_takes_a_batch_all_the_same() {
    let stack = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(Probe::default().service());
    let batch = Client::new(stack).batch();
    let items = [(); 5].map(|()| batch.call::<()>("sleep", "10").unwrap());
    soon(batch.run()).await.unwrap();
    for item in items {
        item.take().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_fails_its_items_and_hangs_nobody() {
    let panics = service_fn(async |_: Request| -> Result<Response, Error> {
        tokio::task::yield_now().await;
        panic!("boom")
    });
    let batch = Client::new(panics).batch();
    let item = batch.call::<()>("m", "").unwrap();
    soon(batch.run()).await.unwrap();
    assert_eq!(kind(item.take()).0, Kind::Internal);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_taken_too_early_may_have_run() {
    let probe = Probe::default();
    let (client, _server) = connect(Options::new(), probe.service());
    let batch = client.batch();
    let early = batch.call::<String>("wait", "x").unwrap();
    let late = batch.call::<String>("wait", "x").unwrap();
    let run = tokio::spawn(batch.run());
    probe.until_started(2).await;
    assert_eq!(
        kind(early.take()),
        (Kind::Invalid, Execution::MaybeExecuted)
    );
    assert!(!late.is_finished());
    probe.ring();
    soon(run).await.unwrap().unwrap();
    assert!(late.is_finished());
    assert_eq!(late.take().unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn what_a_run_that_is_dropped_had_not_sent_was_not_sent() {
    let probe = Probe::default();
    let (client, _server) = connect(Options::new().max_calls(1), probe.service());
    client.service().handshaken().await.unwrap();
    let batch = client.batch();
    let items = [(); 2].map(|()| batch.call::<()>("never", "").unwrap());
    let mut run = task::spawn(batch.run());
    assert_pending!(run.poll());
    probe.until_started(1).await;
    drop(run);
    let ends = items.map(|item| kind(item.take()));
    let of = |execution| (Kind::Cancelled, execution);
    assert_eq!(ends, [of(Execution::MaybeExecuted), of(Execution::NotSent)]);
    let stats = client.service().stats();
    assert_eq!(stats.calls.errors(Kind::Cancelled), 2);
    probe.until_dropped(1).await;
    assert_eq!(probe.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_stack_had_not_taken_were_not_sent() {
    let probe = Probe::default();
    let stack = || {
        let stack = ServiceBuilder::new().concurrency_limit(1);
        Client::new(stack.service(probe.service())).batch()
    };

    let dropped = stack();
    let given_up = [(); 3].map(|()| dropped.call::<()>("never", "").unwrap());
    let mut run = task::spawn(dropped.run());
    assert_pending!(run.poll());
    probe.until_started(1).await;
    drop(run);

    let expired = stack();
    let late = [(); 3].map(|()| expired.call::<()>("never", "").unwrap());
    soon(expired.run().timeout(Duration::from_secs(1)))
        .await
        .unwrap();

    for (items, why) in [(given_up, Kind::Cancelled), (late, Kind::Timeout)] {
        let ends = items.map(|item| kind(item.take()));
        let of = |execution| (why, execution);
        let [first, others @ ..] = ends;
        assert_eq!(first, of(Execution::MaybeExecuted));
        assert_eq!(others, [of(Execution::NotSent); 2]);
    }
    assert_eq!(probe.started(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_sent_is_an_error_of_the_run() {
    let (client, server) = connect(Options::new(), calculator());
    let name = "x".repeat(1 << 20);
    for at_once in [true, false] {
        let layered = ServiceBuilder::new()
            .map_err(Error::from)
            .service(client.service().clone());
        let layered = Client::new(layered).batch();
        let direct = client.batch();
        let add = |a: i32| match at_once {
            true => direct.call::<i32>("add", &(a, 1)),
            false => layered.call::<i32>("add", &(a, 1)),
        };
        let sum = add(1).unwrap();
        let error = if at_once {
            direct.notify(name.clone(), "").unwrap();
            direct.run().await.unwrap_err()
        } else {
            layered.notify(name.clone(), "").unwrap();
            layered.run().await.unwrap_err()
        };
        // Of the batch, and it has run.
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Invalid, Execution::MaybeExecuted)
        );
        assert_eq!(sum.take().unwrap(), 2);
    }
    settle().await;
    assert_eq!(server.stats().one_way_received, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_own_deadline_has_passed_fails_alone() {
    let probe = Probe::default();
    let (client, _server) = connect(Options::new(), probe.service());
    let batch = client.batch();
    let mut request = Request::new("echo", "late".into());
    request.cx_mut().set_deadline(tokio::time::Instant::now());
    let late = batch.request::<bytes::Bytes>(request).unwrap();
    let other = batch.call::<String>("echo", "x").unwrap();
    settle().await;
    soon(batch.run()).await.unwrap();
    assert_eq!(kind(late.take()), (Kind::Timeout, Execution::NotSent));
    assert_eq!(other.take().unwrap(), "x");
    assert_eq!(probe.started(), 1);
}
