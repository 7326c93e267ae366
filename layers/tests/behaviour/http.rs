use http::{Request, Response};
use steeple_layers::{
    BoxError, Carry, CatchPanicLayer, Error, Execution, FaultLayer, InheritLayer, Kind, LogLayer,
    RetryLayer, TimeoutLayer, inherit,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::support::seconds;

#[tokio::test(start_paused = true)]
async fn every_layer_works_over_an_http_service() {
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(LogLayer::new())
        .layer(TimeoutLayer::new(seconds(2)))
        .layer(RetryLayer::default())
        .layer(FaultLayer::new(1))
        .layer(InheritLayer::new())
        .service(service_fn(async |request: Request<String>| {
            assert!(inherit::deadline().is_some());
            match request.cx().attempt() {
                0 => Err(refused()),
                1 => Ok(Response::new(request.into_body())),
                _ => std::future::pending().await,
            }
        }));

    let request = Request::post("http://host/echo")
        .body("hello".to_owned())
        .unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.body(), "hello");

    let mut request = Request::get("http://host/hang")
        .body(String::new())
        .unwrap();
    request.cx_mut().set_attempt(2);
    let error = Error::from(service.oneshot(request).await.unwrap_err());
    assert!(error.is_timeout());
}

fn refused() -> BoxError {
    let error = Error::new(Kind::Unavailable, "draining");
    error.with_execution(Execution::NotStarted).into()
}
