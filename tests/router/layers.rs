//! Layers around routes and routers, and which is outermost.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use steeple::{
    Connector, Error, Execution, Kind, Request, Response, Router, Server, from_tower,
    router::{Handler, RouteService},
    transport::mem::MemNetwork,
};
use tower::{
    Layer, ServiceBuilder, ServiceExt, layer::layer_fn, limit::ConcurrencyLimitLayer, service_fn,
    timeout::TimeoutLayer,
};

use crate::{ask, client, refusal, support::settle};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// A layer that notes each call.
    fn layer(
        &self,
        name: &'static str,
    ) -> impl Layer<RouteService, Service = RouteService> + Clone + use<> {
        let log = self.clone();
        layer_fn(move |inner: RouteService| {
            let log = log.clone();
            let noted = inner.map_request(move |request: Request| {
                let line = format!("{name} {}", request.method());
                log.0.lock().unwrap().push(line);
                request
            });
            steeple::router::service(move |request: Request| noted.clone().oneshot(request))
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_added_last_is_the_outermost_on_a_route_and_on_a_router() {
    let log = Log::default();
    let router = Router::new()
        .route("One", (|| 1).layer(log.layer("a")).layer(log.layer("b")))
        .layer(log.layer("c"))
        .layer(log.layer("d"))
        .route("Two", || 2);
    let channel = client(router);
    ask::<_, i32>(&channel, "One", ()).await.unwrap();
    assert_eq!(log.take(), ["d One", "c One", "b One", "a One"]);
    ask::<_, i32>(&channel, "Two", ()).await.unwrap();
    refusal(&channel, "Three", ()).await;
    assert_eq!(log.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_goes_around_the_fallback_and_around_handlers_that_wait_for_their_state() {
    let log = Log::default();
    let router: Router = Router::new()
        .route(
            "State",
            |steeple::router::State(n): steeple::router::State<u8>| n,
        )
        .fallback(|| 0)
        .layer(log.layer("a"))
        .with_state(7);
    let channel = client(router);
    assert_eq!(ask::<_, u8>(&channel, "State", ()).await.unwrap(), 7);
    assert_eq!(ask::<_, u8>(&channel, "Other", ()).await.unwrap(), 0);
    assert_eq!(log.take(), ["a State", "a Other"]);
}

#[tokio::test(start_paused = true)]
async fn towers_own_layers_go_around_a_route_and_around_a_router() {
    let short = ServiceBuilder::new()
        .map_err(from_tower)
        .layer(TimeoutLayer::new(Duration::from_millis(5)))
        .into_inner();
    let forever = async || std::future::pending::<()>().await;
    let router = Router::new()
        .route("Short", forever.layer(short.clone()))
        .route("Long", async || {
            tokio::time::sleep(Duration::from_millis(20)).await
        });
    let channel = client(router.clone());
    assert_eq!(refusal(&channel, "Short", ()).await.kind(), Kind::Timeout);
    ask::<_, ()>(&channel, "Long", ()).await.unwrap();

    let channel = client(short.layer(router));
    assert_eq!(refusal(&channel, "Long", ()).await.kind(), Kind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_limit_around_a_route_counts_the_calls_of_all_connections() {
    let running = Arc::new(Mutex::new((0, 0)));
    let count = running.clone();
    let handler = move || {
        let count = count.clone();
        async move {
            {
                let mut count = count.lock().unwrap();
                count.0 += 1;
                count.1 = count.0.max(count.1);
            }
            settle().await;
            count.lock().unwrap().0 -= 1;
        }
    };
    let router = Router::new().route("Limited", handler.layer(ConcurrencyLimitLayer::new(2)));
    let channels = [client(router.clone()), client(router)];
    let calls = (0..10).map(|n| ask::<_, ()>(&channels[n % 2], "Limited", ()));
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    assert_eq!(*running.lock().unwrap(), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_service_says_itself_how_far_a_call_got() {
    let service = service_fn(async |_: Request| {
        let error = Error::new(Kind::Unavailable, "later");
        Err::<Response, _>(error.with_execution(Execution::NotStarted))
    });
    let router = Router::new()
        .route_service("A", service)
        .fallback_service(service);
    let channel = client(router);
    for method in ["A", "B"] {
        let error = refusal(&channel, method, ()).await;
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Unavailable, Execution::NotStarted)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn layers_on_routes_are_made_once_before_the_router_is_called() {
    let made = Arc::new(Mutex::new(0));
    let counting = {
        let made = made.clone();
        layer_fn(move |inner: RouteService| {
            *made.lock().unwrap() += 1;
            inner
        })
    };
    let router = Router::new().route("One", (|| 1).layer(counting));
    assert_eq!(*made.lock().unwrap(), 0);
    let network = MemNetwork::new(1);
    let _server = Server::new(network.listen("server").unwrap()).spawn(router);
    assert_eq!(*made.lock().unwrap(), 1);
    for client in ["a", "b"] {
        let connector = Connector::new().dialer(network.dialer(client));
        let channel = connector.connect("mem://server").await.unwrap();
        assert_eq!(ask::<_, i32>(&channel, "One", ()).await.unwrap(), 1);
    }
    assert_eq!(*made.lock().unwrap(), 1);
}
