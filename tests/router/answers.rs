//! What callers are told.

use serde::{Deserialize, Serialize};
use steeple::{
    Body, BoxError, Encoding, Error, Execution, Kind, Origin, Peer, Request, Router,
    codec::{Arena, Bincode, encode},
    router::{Handler, service},
};
use tower::{Service, ServiceExt};

use crate::{
    ask, client, is_alive, raw, refusal, request,
    support::{settle, soon},
};

#[derive(Serialize, Deserialize)]
struct Args {
    a: i64,
}

/// What a service is asked without a connection, which would hide whose an error is.
async fn locally(router: &Router, request: Request) -> Error {
    router.clone().oneshot(request).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn an_unknown_method_is_unimplemented_and_not_started() {
    let channel = client(Router::new().route("Known", || ()));
    for method in ["Unknown", "", "Known.", "known", "Kno wn", "\0"] {
        let error = refusal(&channel, method, ()).await;
        assert_eq!(error.kind(), Kind::Unimplemented);
        assert_eq!(error.execution(), Execution::NotStarted);
        assert_eq!(error.to_string(), format!("there is no method {method:?}"));
    }
    ask::<_, ()>(&channel, "Known", ()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_the_argument_is_named_and_not_started() {
    let router = Router::new().route("Double", |args: Args| args.a * 2);
    let channel = client(router.clone());
    let cut_short = Body::encoded(
        "{\"a\":".into(),
        steeple::codec::Codec::encoding(&steeple::codec::Json),
    );
    let bodies = [
        (request("Double", "text").into_body(), "raw bytes"),
        (
            request("Double", [1, 2]).into_body(),
            "cannot be decoded as json: ",
        ),
        (cut_short, "EOF"),
        (Body::encoded("x".into(), Encoding::new(99)), "no codec"),
        (Body::empty(), "raw bytes"),
    ];
    for (body, cause) in bodies {
        let local = locally(&router, Request::new("Double", body.clone())).await;
        assert_eq!(local.origin(), Origin::Local);
        let remote = soon(channel.clone().call(Request::new("Double", body))).await;
        for error in [local, remote.unwrap_err()] {
            assert_eq!(error.kind(), Kind::Invalid);
            assert_eq!(error.execution(), Execution::NotStarted);
            let text = error.to_string();
            let begin = "the argument `Args` of \"Double\" cannot be decoded: ";
            assert!(text.starts_with(begin) && text.contains(cause), "{text}");
        }
    }
    is_alive(&channel).await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_comes_in_the_encoding_of_the_call() {
    let router = Router::new().route("Double", |args: Args| args.a * 2);
    let channel = client(router);
    let body = encode(&Bincode, &Args { a: 4 }, &mut Arena::new()).unwrap();
    let answer = soon(channel.clone().call(Request::new("Double", body)))
        .await
        .unwrap();
    assert_eq!(answer.body().as_bytes(), &8i64.to_le_bytes()[..]);
    assert_eq!(
        ask::<_, i64>(&channel, "Double", Args { a: 4 })
            .await
            .unwrap(),
        8
    );
}

#[tokio::test(start_paused = true)]
async fn a_value_for_a_caller_of_raw_bytes_only_is_an_error_that_says_so() {
    let channel = client(Router::new().route("Number", || 7));
    let error = soon(channel.clone().call(raw("Number", "")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::Executed)
    );
    assert!(error.to_string().contains("raw bytes only"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_ones_own_keeps_its_code() {
    #[derive(Debug, Serialize)]
    enum Refusal {
        Closed,
        Full(u32),
    }
    impl From<Refusal> for Error {
        fn from(refusal: Refusal) -> Self {
            match refusal {
                Refusal::Closed => Self::application(1, "closed"),
                Refusal::Full(by) => Self::application(2, format!("full by {by}")),
            }
        }
    }
    async fn enter(n: u32) -> Result<Args, Refusal> {
        match n {
            0 => Ok(Args { a: 0 }),
            1 => Err(Refusal::Closed),
            more => Err(Refusal::Full(more)),
        }
    }
    let channel = client(Router::new().route("Enter", enter));
    ask::<_, Args>(&channel, "Enter", 0)
        .await
        .map(drop)
        .unwrap();
    for (n, code, text) in [(1, 1, "closed"), (5, 2, "full by 5")] {
        let error = refusal(&channel, "Enter", n).await;
        assert_eq!(error.as_application().unwrap().code(), code);
        assert_eq!(error.to_string(), text);
        assert_eq!(error.execution(), Execution::Executed);
    }
}

#[tokio::test(start_paused = true)]
async fn any_error_is_internal_and_one_of_ours_in_a_box_stays_what_it_is() {
    fn parse(text: String) -> Result<i64, BoxError> {
        if text == "ours" {
            return Err(Error::new(Kind::PermissionDenied, "no").into());
        }
        Ok(text.parse()?)
    }
    let channel = client(Router::new().route("Parse", parse));
    assert_eq!(ask::<_, i64>(&channel, "Parse", "12").await.unwrap(), 12);
    for (text, kind) in [("x", Kind::Internal), ("ours", Kind::PermissionDenied)] {
        let error = refusal(&channel, "Parse", text).await;
        assert_eq!(
            (error.kind(), error.execution()),
            (kind, Execution::Executed)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_nested_call_is_told_as_executed() {
    async fn nested(mut peer: Peer) -> Result<(), Error> {
        // The client serves nothing: the nested call is not started.
        let error = peer
            .call(Request::new("Any", Body::empty()))
            .await
            .unwrap_err();
        assert_eq!(error.execution(), Execution::NotStarted);
        Err(error)
    }
    let late = async |peer: Peer| {
        settle().await;
        nested(peer).await
    };
    let channel = client(Router::new().route("Nested", nested).route("Late", late));
    for method in ["Nested", "Late"] {
        let error = refusal(&channel, method, ()).await;
        assert_eq!(error.kind(), Kind::Unimplemented);
        assert_eq!(error.execution(), Execution::Executed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_for_nobody_is_dropped_and_counted_and_nothing_is_not() {
    let (near, far) = steeple::transport::mem::MemStream::pair(1024);
    let router = Router::new()
        .route("Value", || 7)
        .route("Late", async || {
            settle().await;
            7
        })
        .route("Nothing", || ())
        .route("Fine", || Ok::<_, Error>(()));
    let builder = steeple::conn::Builder::new(steeple::wire::Role::Acceptor);
    let (server, connection) = builder.build(far, router);
    tokio::spawn(connection);
    let channel = steeple::Connector::new().connect_io(near, None);
    for method in ["Value", "Late", "Nothing", "Fine", "Unknown"] {
        let mut request = request(method, ());
        request.cx_mut().set_one_way(true);
        soon(channel.clone().call(request)).await.unwrap();
    }
    is_alive(&channel).await;
    settle().await;
    settle().await;
    let stats = server.stats();
    assert_eq!((stats.one_way_received, stats.one_way_answers), (5, 2));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_encoded_is_an_executed_error() {
    use std::collections::BTreeMap;
    // JSON has no keys but text.
    let router = Router::new().route("Map", || BTreeMap::from([((1, 2), 3)]));
    let error = refusal(&client(router), "Map", ()).await;
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::Executed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_value_that_encodes_another_while_it_is_encoded_is_no_trouble() {
    struct Outer;
    impl Serialize for Outer {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let inner = service(|| 7).oneshot(request("Inner", ()));
            let response = futures_util::FutureExt::now_or_never(inner)
                .unwrap()
                .unwrap();
            serializer.collect_seq(response.body().as_bytes())
        }
    }
    let router = Router::new().route("Outer", (|| Ok::<_, Error>(Outer)).spawned());
    let answer: Vec<u8> = ask(&client(router), "Outer", ()).await.unwrap();
    assert_eq!(answer, b"7");
}
