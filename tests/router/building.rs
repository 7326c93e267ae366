//! What is refused before it is served.

use std::panic::{AssertUnwindSafe, catch_unwind};

use steeple::{Kind, Router, Server, transport::mem::MemNetwork};
use tower::{ServiceBuilder, layer::util::Identity, service_fn};

use crate::{ask, client, refusal};

fn one() -> Router {
    Router::new().route("One", || 1)
}

/// What building it panics with.
fn panic_of(build: impl FnOnce() -> Router) -> String {
    let panic = catch_unwind(AssertUnwindSafe(build)).unwrap_err();
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let unused = service_fn(async |_| Ok::<_, steeple::Error>(steeple::Response::default()));
    for text in [
        panic_of(|| one().route("One", || 2)),
        panic_of(|| one().route_service("One", unused)),
        panic_of(|| one().merge(one())),
    ] {
        assert_eq!(text, r#"there is a route "One" already"#);
    }
    let nested = panic_of(|| one().nest("A", one()).route("A.One", || 2));
    assert_eq!(nested, r#"there is a route "A.One" already"#);
}

#[test]
fn a_name_that_is_none_is_refused() {
    for (name, reason) in [
        ("", "is empty"),
        ("a b", "space"),
        ("a.", "part"),
        (".a", "part"),
    ] {
        let text = panic_of(|| one().route(name, || 2));
        assert!(text.contains(reason), "{text}");
    }
    let text = panic_of(|| Router::new().nest("", one()));
    assert!(
        text.contains(r#"part of the name ".One" is empty"#),
        "{text}"
    );
    let text = panic_of(|| one().route(&"x".repeat(256), || 2));
    assert!(text.contains("at most 255"), "{text}");
}

#[test]
fn what_is_empty_is_refused() {
    for text in [
        panic_of(|| one().nest("A", Router::new())),
        panic_of(|| one().merge(Router::new())),
        panic_of(|| Router::new().layer(Identity::new())),
        panic_of(|| Router::<()>::new().with_state(())),
    ] {
        assert_eq!(text, "the router is empty");
    }
}

#[test]
fn a_second_fallback_and_a_nested_one_are_refused() {
    let with_fallback = || one().fallback(|| 0);
    let text = panic_of(|| with_fallback().fallback(|| 1));
    assert_eq!(text, "there is a fallback already");
    let text = panic_of(|| Router::new().fallback(|| 1).merge(with_fallback()));
    assert_eq!(text, "there is a fallback already");
    let text = panic_of(|| Router::new().nest("A", with_fallback()));
    assert_eq!(text, r#"the router nested at "A" has a fallback"#);
}

#[tokio::test(start_paused = true)]
#[should_panic = "cannot be served: the router is empty"]
async fn a_server_does_not_take_an_empty_router() {
    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap());
    server.spawn(Router::new());
}

#[tokio::test(start_paused = true)]
#[should_panic = "cannot be served: the router is empty"]
async fn a_server_that_is_driven_by_hand_does_not_take_one_under_layers_either() {
    let network = MemNetwork::new(1);
    let empty: Router = Router::new();
    let limited = ServiceBuilder::new().concurrency_limit(1).service(empty);
    let server = Server::new(network.listen("server").unwrap());
    server.serve(limited).await;
}

#[tokio::test(start_paused = true)]
async fn a_router_that_is_served_empty_refuses_every_call() {
    let error = refusal(&client(Router::new()), "Any", ()).await;
    assert_eq!(error.kind(), Kind::Unimplemented);
    assert_eq!(error.to_string(), "the router is empty");
    assert!(error.execution().is_safe_to_repeat());
}

#[tokio::test(start_paused = true)]
async fn nested_and_merged_routes_and_the_fallback_are_found() {
    let router = one().nest("A", one().nest("B", one())).merge(
        Router::new()
            .route("Two", || 2)
            .fallback(|method: steeple::Method| method.to_string()),
    );
    let channel = client(router);
    for (method, answer) in [("One", 1), ("A.One", 1), ("A.B.One", 1), ("Two", 2)] {
        assert_eq!(ask::<_, i32>(&channel, method, ()).await.unwrap(), answer);
    }
    for method in ["", "A.Two", "else"] {
        assert_eq!(
            ask::<_, String>(&channel, method, ()).await.unwrap(),
            method
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_added_to_a_clone_is_not_in_the_other() {
    let served = one();
    let more = served.clone().route("Two", || 2);
    let (first, second) = (client(served), client(more));
    assert_eq!(refusal(&first, "Two", ()).await.kind(), Kind::Unimplemented);
    assert_eq!(ask::<_, i32>(&second, "Two", ()).await.unwrap(), 2);
}
