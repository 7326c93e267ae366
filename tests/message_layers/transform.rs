//! Bodies that go through functions of the user's.

use bytes::Bytes;
use steeple::{
    Body, BoxError, Error, Execution, Kind, Options, Request, Response, layers::TransformLayer,
};
use tower::{Service, ServiceBuilder, service_fn};

use crate::support::{call, dial, response};

/// Puts a letter in front.
fn put(letter: u8) -> impl Fn(Bytes) -> Result<Bytes, BoxError> + Clone {
    move |body| Ok([&[letter], &body[..]].concat().into())
}

/// Takes it away again.
fn take(letter: u8) -> impl Fn(Bytes) -> Result<Bytes, BoxError> + Clone {
    move |body| match body.split_first() {
        Some((first, rest)) if *first == letter => Ok(rest.to_vec().into()),
        _ => Err("another letter".into()),
    }
}

#[tokio::test(start_paused = true)]
async fn nested_transforms_are_taken_off_in_reverse() {
    let (channel, mut server) = dial(Options::new());
    let mut client = ServiceBuilder::new()
        .layer(TransformLayer::client(put(b'1'), take(b'1')))
        .layer(TransformLayer::client(put(b'2'), take(b'2')))
        .service(channel);
    let answer = client.call(call("Get", "x"));
    server.shake_hands().await;
    let frame = server.expect_request("Get").await;
    assert_eq!(frame.body, b"21x");

    let mut service = ServiceBuilder::new()
        .layer(TransformLayer::server(put(b'2'), take(b'2')))
        .layer(TransformLayer::server(put(b'1'), take(b'1')))
        .service(service_fn(async |request: Request| {
            assert_eq!(request.body().as_bytes(), "x");
            Ok::<_, Error>(Response::new("y".into()))
        }));
    let served = service.call(call("Get", frame.body)).await.unwrap();
    assert_eq!(served.body().as_bytes(), "21y");
    server.send(response(frame.id).body(served.body())).await;
    assert_eq!(answer.await.unwrap().body().as_bytes(), "y");
}

#[tokio::test]
async fn a_body_that_cannot_be_transformed_fails_its_call_where_it_is() {
    let echo =
        service_fn(async |request: Request| Ok::<_, Error>(Response::new(request.into_body())));
    let fail = |_: Bytes| Err::<Bytes, BoxError>("no key".into());
    let mut client = ServiceBuilder::new()
        .layer(TransformLayer::client(fail, take(b'1')))
        .service(echo);
    let error = client.call(call("Get", "x")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::NotSent)
    );
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "no key"
    );

    let mut server = ServiceBuilder::new()
        .layer(TransformLayer::server(put(b'1'), take(b'1')))
        .service(echo);
    let error = server.call(call("Get", "x")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::NotStarted)
    );

    let mut client = ServiceBuilder::new()
        .layer(TransformLayer::client(put(b'2'), take(b'1')))
        .service(echo);
    let error = client.call(call("Get", "x")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::Executed)
    );
}

#[tokio::test]
async fn the_encoding_of_a_body_stays() {
    let json = steeple::wire::numbers::encoding::JSON;
    let mut service = ServiceBuilder::new()
        .layer(TransformLayer::client(put(b'1'), put(b'2')))
        .service(service_fn(move |request: Request| async move {
            assert_eq!(request.body(), &Body::encoded("1x".into(), json));
            Ok::<_, Error>(Response::new(request.into_body()))
        }));
    let request = Request::new("Get", Body::encoded("x".into(), json));
    let answer = service.call(request).await.unwrap();
    assert_eq!(answer.body(), &Body::encoded("21x".into(), json));
}
