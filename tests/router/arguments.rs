//! What handlers are given.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steeple::{
    Address, Body, Context, Error, Kind, Metadata, Method, Peer, Request, Response, Router,
    router::{Deadline, Extension, FromRef, FromRequestParts, Reply, State, service},
};
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};

use crate::{
    ask, client, raw, request, send,
    support::{settle, soon},
};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

const ARGS: Args = Args { a: 6, b: 7 };

#[tokio::test(start_paused = true)]
async fn plain_and_async_functions_of_any_shape_answer() {
    async fn multiply(args: Args) -> Result<i64, Error> {
        Ok(args.a * args.b)
    }
    fn add(args: Args) -> i64 {
        args.a + args.b
    }
    async fn same(args: Args) -> Reply<Args> {
        Reply(args)
    }
    async fn nothing() {}
    fn nobody(_: Address) {}
    fn only_fails((): ()) -> Result<(), Error> {
        Ok(())
    }
    let base = 10;
    let channel = client(
        Router::new()
            .route("Multiply", multiply)
            .route("Add", add)
            .route("Same", same)
            .route("Nothing", nothing)
            .route("Nobody", nobody)
            .route("OnlyFails", only_fails)
            .route("Closure", move |n: u8| n + base)
            .route("AsyncClosure", move |n: u8| async move { Some(n + base) })
            .route("Capture-less", async |n: u8| n)
            .route("Pair", |(a, b): (u8, String)| (b, a)),
    );
    assert_eq!(ask(&channel, "Multiply", ARGS).await, ok(42));
    assert_eq!(ask(&channel, "Add", ARGS).await, ok(13));
    assert_eq!(ask(&channel, "Same", ARGS).await, ok(ARGS));
    for method in ["Nothing", "Nobody", "OnlyFails"] {
        assert_eq!(ask(&channel, method, ()).await, ok(()), "{method}");
    }
    assert_eq!(ask(&channel, "Closure", 5).await, ok(15));
    assert_eq!(ask(&channel, "AsyncClosure", 5).await, ok(Some(15)));
    assert_eq!(ask(&channel, "Capture-less", 5).await, ok(5));
    let pair = ask(&channel, "Pair", (1, "x")).await;
    assert_eq!(pair, ok(("x".to_owned(), 1)));
}

#[tokio::test(start_paused = true)]
async fn text_and_bytes_pass_uncoded() {
    let channel = client(
        Router::new()
            .route("Shout", |text: String| text.to_uppercase())
            .route("Echo", async |bytes: Bytes| bytes)
            .route("Body", |body: Body| body)
            .route("Static", || "text"),
    );
    for (method, answer) in [
        ("Shout", "HI"),
        ("Echo", "hi"),
        ("Body", "hi"),
        ("Static", "text"),
    ] {
        let response = soon(channel.clone().call(raw(method, "hi"))).await.unwrap();
        assert!(response.body().encoding().is_raw());
        assert_eq!(response.body().as_bytes(), answer, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_beside_the_body_is_found_by_its_type() {
    async fn all(
        peer: Peer,
        address: Address,
        method: Method,
        metadata: Metadata,
        Deadline(deadline): Deadline,
        Extension(extension): Extension<&'static str>,
        text: String,
    ) -> String {
        assert_eq!(peer.address(), Some(&address));
        let left = deadline.unwrap() - Instant::now();
        assert!(left <= Duration::from_secs(2), "{left:?}");
        let colour = metadata.get_str("colour").unwrap();
        format!("{address} {method} {colour} {extension} {text}")
    }
    let channel = client(Router::new().nest("A", Router::new().route("All", all)));
    let mut request = request("A.All", "text").with_timeout(Duration::from_secs(2));
    request.metadata_mut().insert("colour", "blue");
    let answer = send(&channel, request).await;
    assert_eq!(
        answer,
        ok("client A.All blue of the connection text".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_calls_the_peer_back_and_keeps_values_with_the_connection() {
    async fn log_in(peer: Peer, name: String) -> Option<Arc<str>> {
        peer.values().insert::<Arc<str>>(name.into())
    }
    fn who(peer: Peer) -> Option<String> {
        peer.values().get::<Arc<str>>().map(|name| name.to_string())
    }
    let router = Router::new().route("LogIn", |peer, name| async {
        log_in(peer, name).await.is_some()
    });
    let router = router.route("Who", who);
    let (mine, other) = (client(router.clone()), client(router));
    assert_eq!(ask(&mine, "LogIn", "ann").await, ok(false));
    assert_eq!(ask(&mine, "Who", ()).await, ok(Some("ann".to_owned())));
    assert_eq!(ask(&other, "Who", ()).await, ok(None::<String>));
    assert_eq!(ask(&mine, "LogIn", "bob").await, ok(true));
}

#[tokio::test(start_paused = true)]
async fn the_values_of_a_connection_go_with_it_also_if_they_hold_its_peer() {
    let kept = Arc::new(());
    let value = kept.clone();
    let keep = move |peer: Peer, cx: Context| {
        assert_eq!(cx.method(), "Keep");
        peer.values().insert((value.clone(), peer.clone()));
    };
    let router = Router::new().route("Keep", keep);
    let channel = client(router.clone());
    let before = Arc::strong_count(&kept);
    assert_eq!(ask(&channel, "Keep", ()).await, ok(()));
    assert_eq!(Arc::strong_count(&kept), before + 1);
    soon(channel.drain()).await;
    settle().await;
    assert_eq!(Arc::strong_count(&kept), before);
}

#[tokio::test(start_paused = true)]
async fn state_is_shared_with_the_program_and_handed_out_in_parts() {
    #[derive(Clone)]
    struct App {
        last: Arc<AtomicU64>,
        name: &'static str,
    }
    impl FromRef<App> for Arc<AtomicU64> {
        fn from_ref(app: &App) -> Self {
            app.last.clone()
        }
    }
    async fn next(State(last): State<Arc<AtomicU64>>, step: u64) -> u64 {
        last.fetch_add(step, Ordering::Relaxed)
    }
    let last = Arc::new(AtomicU64::new(1));
    let app = App {
        last: last.clone(),
        name: "app",
    };
    let router: Router = Router::new()
        .route("Next", next)
        .route("Name", |State(app): State<App>| app.name)
        .with_state(app);
    let channel = client(router);
    assert_eq!(ask(&channel, "Next", 1).await, ok(1));
    last.store(100, Ordering::Relaxed);
    assert_eq!(ask(&channel, "Next", 5).await, ok(100));
    assert_eq!(last.load(Ordering::Relaxed), 105);
    assert_eq!(ask(&channel, "Name", ()).await, ok("app".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_extractor_of_ones_own_decides_whether_the_handler_runs() {
    struct Tenant(String);
    impl<S> FromRequestParts<S> for Tenant {
        fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
            let tenant = request.metadata().get_str("tenant");
            let tenant = tenant.ok_or_else(|| Error::new(Kind::Unauthenticated, "no tenant"))?;
            Ok(Self(tenant.to_owned()))
        }
    }
    let channel = client(Router::new().route("Who", |Tenant(tenant): Tenant| tenant));
    let error = ask::<_, ()>(&channel, "Who", ()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert!(error.execution().is_safe_to_repeat());
    let mut named = request("Who", ());
    named.metadata_mut().insert("tenant", "blue");
    assert_eq!(send(&channel, named).await, ok("blue".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_leaves_is_an_extension_and_without_it_the_handler_does_not_run() {
    let router = Router::new()
        .route("Need", |Extension(n): Extension<u8>| n)
        .route("Can", |n: Option<Extension<u8>>| n.map(|n| n.0));
    let channel = client(router.clone());
    let error = ask::<_, ()>(&channel, "Need", ()).await.unwrap_err();
    assert_eq!(error.to_string(), "no layer has left the extension `u8`");
    assert!(error.execution().is_safe_to_repeat());
    assert_eq!(ask(&channel, "Can", ()).await, ok(None::<u8>));

    let channel = client(router.map_request(|mut request: Request| {
        request.extensions_mut().insert(7u8);
        request
    }));
    assert_eq!(ask(&channel, "Need", ()).await, ok(7));
    assert_eq!(ask(&channel, "Can", ()).await, ok(Some(7)));
}

#[tokio::test(start_paused = true)]
async fn a_raw_request_is_answered_by_a_raw_response() {
    async fn raw_handler(request: Request) -> Result<Response, Error> {
        let mut response = Response::new(request.into_body());
        response.metadata_mut().insert("seen", "yes");
        Ok(response)
    }
    let channel = client(Router::new().route("Raw", raw_handler));
    let response = soon(channel.clone().call(raw("Raw", "x"))).await.unwrap();
    assert_eq!(response.metadata().get_str("seen"), Some("yes"));
}

#[tokio::test(start_paused = true)]
async fn one_function_serves_whatever_name_it_is_called_by() {
    let channel = client(service(|text: String| text.to_uppercase()));
    for method in ["", "Shout"] {
        assert_eq!(ask(&channel, method, "hi").await, ok("HI".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_called_without_a_connection_too() {
    let router = Router::new()
        .route("Peer", |peer: Option<Peer>| peer.is_none())
        .route("Ordered", steeple::router::Handler::ordered(|| 1))
        .route_service(
            "Service",
            service_fn(async |_| Ok::<_, Error>(Response::default())),
        );
    for method in ["Peer", "Ordered", "Service"] {
        router.clone().oneshot(request(method, ())).await.unwrap();
    }
}

/// For a comparison with what came.
fn ok<T>(value: T) -> Came<T> {
    Came(value)
}

#[derive(Debug)]
struct Came<T>(T);

impl<T: PartialEq> PartialEq<Came<T>> for Result<T, Error> {
    fn eq(&self, other: &Came<T>) -> bool {
        self.as_ref().is_ok_and(|value| *value == other.0)
    }
}
