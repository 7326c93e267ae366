//! One call: what goes in, what comes out, and when it is made.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use steeple::{
    Body, Client, Codec, Encoding, Error, Execution, Kind, Options, Request, Response,
    codec::{AnyCodec, Bincode, Json},
};
use tokio_test::{assert_pending, task};
use tower::{BoxError, service_fn};

use crate::{
    calculator, connect,
    support::{self, Probe, dial, echo, settle, soon},
};

#[tokio::test(start_paused = true)]
async fn values_go_in_and_a_value_comes_out() {
    let (mut client, _server) = connect(Options::new(), calculator());
    let sum: i32 = soon(client.call("add", &(2, 3))).await.unwrap();
    assert_eq!(sum, 5);
    let map = BTreeMap::from([(1, "one".to_owned())]);
    let again: BTreeMap<i32, String> = client.call("echo", &map).await.unwrap();
    assert_eq!(again, map);
    let () = client.call("echo", &()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn arguments_may_borrow() {
    let (mut client, _server) = connect(Options::new(), calculator());
    let (name, list) = (String::from("name"), vec![1, 2]);
    let again: (String, Vec<i32>) = client
        .call("echo", &(name.as_str(), &list[..]))
        .await
        .unwrap();
    assert_eq!(again, (name, list));
}

#[tokio::test(start_paused = true)]
async fn text_and_bytes_pass_uncoded() {
    let encoding = service_fn(async |request: Request| {
        let encoding = request.body().encoding().number();
        Ok::<_, Error>(Response::new(vec![encoding].into()))
    });
    let (mut client, _server) = connect(Options::new(), encoding);
    let raw = [Encoding::RAW.number()];
    let (text, bytes) = (String::from("x"), Bytes::from("x"));
    assert_eq!(client.call::<Bytes>("m", "x").await.unwrap(), &raw[..]);
    assert_eq!(client.call::<Bytes>("m", &text).await.unwrap(), &raw[..]);
    assert_eq!(client.call::<Bytes>("m", text).await.unwrap(), &raw[..]);
    assert_eq!(client.call::<Bytes>("m", &bytes).await.unwrap(), &raw[..]);
    assert_eq!(client.call::<Bytes>("m", bytes).await.unwrap(), &raw[..]);
    assert_eq!(client.call::<Vec<u8>>("m", vec![1, 2]).await.unwrap(), raw);
    assert_eq!(client.call::<Bytes>("m", &7u32).await.unwrap(), &[1][..]);
}

#[tokio::test(start_paused = true)]
async fn uncoded_arguments_still_ask_for_an_answer_in_the_codec() {
    let number = service_fn(async |request: Request| {
        let body = Body::encoded("7".into(), request.encoding());
        Ok::<_, Error>(Response::new(body))
    });
    let (client, _server) = connect(Options::new(), number);
    let seven: u32 = client.codec(Json).call("number", "which?").await.unwrap();
    assert_eq!(seven, 7);
}

#[tokio::test(start_paused = true)]
async fn metadata_goes_with_the_call_and_comes_with_a_response() {
    let (mut client, _server) = connect(Options::new(), calculator());
    let response: Response<String> = client
        .call("metadata", &())
        .metadata("name", "blue")
        .await
        .unwrap();
    assert_eq!(response.metadata().get_str("name"), Some("blue"));
    assert_eq!(response.into_body(), "blue");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_made_by_hand_goes_as_it_is() {
    let (mut client, _server) = connect(Options::new(), calculator());
    let body = Body::encoded("[1]".into(), Json.encoding());
    let answer: Body = client
        .request(Request::new("echo", body.clone()))
        .await
        .unwrap();
    assert_eq!(answer, body);
}

#[tokio::test(start_paused = true)]
async fn a_codec_may_be_chosen_at_run_time() {
    for codec in AnyCodec::all() {
        let (client, _server) = connect(Options::new(), echo());
        let mut client = client.codec(*codec);
        let answer: Vec<(u8, String)> = client.call("echo", &[(1u8, "x")][..]).await.unwrap();
        assert_eq!(answer, [(1, "x".to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_something_else_was_executed_all_the_same() {
    let (mut client, _server) = connect(Options::new(), calculator());
    let error = client.call::<String>("add", &(2, 3)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::Executed)
    );
    let answer = Request::new("echo", Body::encoded("1".into(), Json.encoding()));
    let error = client.request::<u8>(answer).await.unwrap_err();
    assert_eq!(error.execution(), Execution::Executed);
    assert!(error.to_string().contains("json"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn arguments_that_cannot_be_encoded_are_not_sent() {
    let (mut client, _server) = connect(Options::new(), calculator());
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let error = client.call::<()>("echo", &Broken).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::NotSent)
    );
    assert_eq!(client.service().stats().calls.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_when_it_is_polled_and_cancelled_when_it_is_dropped() {
    let probe = Probe::default();
    let (mut client, _server) = connect(Options::new(), probe.service());
    let call = client.call::<()>("never", "");
    settle().await;
    assert_eq!(probe.started(), 0);
    let mut call = task::spawn(call);
    assert_pending!(call.poll());
    probe.until_started(1).await;
    drop(call);
    probe.until_dropped(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_a_future_with_or_without_options() {
    fn both<A: Future, B: Future>(a: A, b: B) -> impl Future<Output = (A::Output, B::Output)> {
        futures_util::future::join(a, b)
    }
    let (mut client, _server) = connect(Options::new(), calculator());
    let mut other = client.clone();
    let add = client.call::<i32>("add", &(2, 3));
    let echo = other.call::<String>("echo", "x").idempotent(true);
    let (sum, x) = soon(both(add, echo)).await;
    assert_eq!((sum.unwrap(), x.unwrap()), (5, "x".into()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_polled_is_not_started_again() {
    let (mut client, _server) = connect(Options::new(), echo());
    let mut call = client.call::<String>("echo", "x");
    assert!((&mut call).now_or_never().is_none());
    let error = call.start().unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn the_options_of_a_call_are_in_its_request() {
    let look = service_fn(async |request: Request| {
        let cx = request.cx();
        assert_eq!(cx.shard_key(), Some(7));
        assert!(cx.is_idempotent() && cx.is_fail_fast() && !cx.is_one_way());
        assert_eq!(request.encoding(), Bincode.encoding());
        let left = cx.deadline().unwrap() - tokio::time::Instant::now();
        Ok::<_, Error>(Response::new(left.as_millis().to_string().into()))
    });
    let mut client = Client::new(look);
    let call = client.call::<String>("m", "");
    let call = call.shard_key(7).idempotent(true).fail_fast(true);
    let left = call.timeout(Duration::from_secs(2)).await.unwrap();
    assert_eq!(left, "2000");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_the_call() {
    let (mut client, _server) = connect(Options::new(), Probe::default().service());
    let call = client
        .call::<()>("never", "")
        .timeout(Duration::from_millis(100));
    let error = soon(call).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::MaybeExecuted)
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_answer_is_done_when_it_is_out() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut client = Client::new(channel);
    soon(client.notify("note", "x")).await.unwrap();
    server.expect(support::one_way("note").body("x")).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_service_answers_to_a_message_without_an_answer_is_not_looked_at() {
    let mut client = Client::new(echo());
    client.notify("note", &7).await.unwrap();
    client.notify("note", &7).start().unwrap().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_service_may_be_any_that_an_error_is_made_of() {
    let fails = service_fn(async |_: Request| Err::<Response, BoxError>("disk full".into()));
    let error = Client::new(fails).call::<()>("m", &()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    let never = service_fn(async |_: Request| Ok::<_, Infallible>(Response::<Body>::default()));
    let () = Client::new(never).call("m", &()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_method_with_a_name_made_at_run_time_is_called_by_it() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut client = Client::new(channel);
    let mut call = task::spawn(client.call::<()>(format!("m{}", 1), ""));
    assert_pending!(call.poll());
    server.expect_request("m1").await;
}
