//! Every shape of handler, each called once: what it is given, what it returns, and where it runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use steeple::{
    Address, Client, Error, Kind, Metadata, Peer, Request, Response, Router, Server,
    router::{Deadline, Extension, FromRequestParts, Handler, Reply, State},
};
use tower::ServiceBuilder;

/// What the handlers share with each other and with the program.
type Stock = Arc<Mutex<BTreeMap<String, u32>>>;

#[derive(Serialize, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    item: String,
    left: u32,
}

/// An error of one's own, and what it is to callers.
enum Refusal {
    NoSuchItem(String),
    OutOfStock { left: u32 },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchItem(item) => Self::application(1, format!("there is no {item}")),
            Refusal::OutOfStock { left } => Self::application(2, format!("{left} are left")),
        }
    }
}

/// An argument of one's own.
struct Tenant(String);

impl<S> FromRequestParts<S> for Tenant {
    fn from_request_parts(request: &Request, _: &S) -> Result<Self, Error> {
        let tenant = request.metadata().get_str("tenant");
        let tenant = tenant.ok_or_else(|| Error::new(Kind::Unauthenticated, "who are you?"))?;
        Ok(Self(tenant.to_owned()))
    }
}

/// Nothing in, nothing out.
async fn ping() {}

/// A value in, a value out. Several values are a tuple.
async fn add((a, b): (i64, i64)) -> i64 {
    a + b
}

/// A plain function is as good, and an error is whatever becomes an `Error`.
fn buy(State(stock): State<Stock>, order: Order) -> Result<Receipt, Refusal> {
    let mut stock = stock.lock().unwrap();
    let Some(left) = stock.get_mut(&order.item) else {
        return Err(Refusal::NoSuchItem(order.item));
    };
    *left = left
        .checked_sub(order.count)
        .ok_or(Refusal::OutOfStock { left: *left })?;
    let (item, left) = (order.item, *left);
    Ok(Receipt { item, left })
}

/// A value of one's own that stands alone is in a `Reply`.
fn first(State(stock): State<Stock>) -> Reply<Option<Receipt>> {
    let stock = stock.lock().unwrap();
    Reply(stock.iter().next().map(|(item, left)| Receipt {
        item: item.clone(),
        left: *left,
    }))
}

/// What comes beside the body, found by its type.
async fn describe(
    Tenant(tenant): Tenant,
    address: Address,
    metadata: Metadata,
    Deadline(deadline): Deadline,
    Extension(region): Extension<Region>,
) -> String {
    let (count, is_due) = (metadata.iter().len(), deadline.is_some());
    assert!(matches!(address, Address::Tcp(_)));
    format!(
        "{tenant} in {}, {count} in the metadata, has a deadline: {is_due}",
        region.0
    )
}

/// Left by a layer.
#[derive(Clone)]
struct Region(&'static str);

/// The peer, to be called back, and to keep what is known of it.
async fn log_in(peer: Peer, name: String) -> Result<(), Error> {
    match peer.values().insert(name) {
        None => Ok(()),
        Some(before) => Err(Error::application(3, format!("you are {before} already"))),
    }
}

/// Bytes are not copied.
async fn echo(bytes: Bytes) -> Bytes {
    bytes
}

/// The call as it came, and the answer as it goes.
async fn raw(request: Request) -> Result<Response, Error> {
    let mut response = Response::new(request.into_body());
    response.metadata_mut().insert("handled-by", "raw");
    Ok(response)
}

/// Waits where it may: on a thread of its own.
fn checksum(bytes: Bytes) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

fn router(stock: Stock) -> Router {
    let shop = Router::new()
        .route("Buy", buy.ordered())
        .route("First", first)
        .with_state(stock);
    Router::new()
        .route("Ping", ping)
        .route("Add", add)
        .route("Describe", describe)
        .route("LogIn", log_in)
        .route("Echo", echo)
        .route("Raw", raw)
        .route("Checksum", checksum.blocking())
        .route("Twice", (|n: u32| 2 * n).spawned())
        .nest("Shop", shop)
        .fallback(|request: Request| -> Result<(), Error> {
            let text = format!("there is no {}; try Ping", request.method());
            Err(Error::new(Kind::Unimplemented, text))
        })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stock = Stock::default();
    stock.lock().unwrap().insert("pear".into(), 3);

    let stack = ServiceBuilder::new()
        .map_request(|mut request: Request| {
            request.extensions_mut().insert(Region("north"));
            request
        })
        .service(router(stock.clone()));
    let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(stack);

    let mut client = Client::connect(server.address()).await?;
    let () = client.call("Ping", &()).await?;
    assert_eq!(client.call::<i64>("Add", &(40i64, 2i64)).await?, 42);
    let anonymous = client.call::<String>("Describe", &()).await;
    println!("{}", anonymous.unwrap_err());
    let described = client.call::<String>("Describe", &());
    println!("{}", described.metadata("tenant", "blue").await?);
    let () = client.call("LogIn", "ann").await?;
    println!("{}", client.call::<()>("LogIn", "bob").await.unwrap_err());
    assert_eq!(client.call::<String>("Echo", "hello").await?, "hello");
    let response: Response<String> = client.call("Raw", "hello").await?;
    assert_eq!(response.body(), "hello");
    assert_eq!(response.metadata().get_str("handled-by"), Some("raw"));
    assert_eq!(client.call::<u64>("Checksum", vec![1, 2, 3]).await?, 6);
    assert_eq!(client.call::<u32>("Twice", &4u32).await?, 8);

    for count in [2, 2] {
        let item = "pear".to_owned();
        let receipt = client.call::<Receipt>("Shop.Buy", &Order { item, count });
        match receipt.await {
            Ok(receipt) => println!("{receipt:?}"),
            Err(error) => println!("{error}, code {}", error.as_application().unwrap().code()),
        }
    }
    stock.lock().unwrap().insert("apple".into(), 9);
    let (item, left) = ("apple".to_owned(), 9);
    let first: Option<Receipt> = client.call("Shop.First", &()).await?;
    assert_eq!(first, Some(Receipt { item, left }));

    for (method, args) in [("Shop.Buy", "no order"), ("Pong", "")] {
        println!("{}", client.call::<()>(method, args).await.unwrap_err());
    }

    server.drain().await;
    Ok(())
}
