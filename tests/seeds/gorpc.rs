//! A server without methods, functions by name, the methods of an object, the shapes of functions, a batch.

#![allow(clippy::disallowed_names, reason = "they are in the printed lines")]

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use steeple::{
    Address, Body, Client, Error, Router,
    router::{Reply, State, service},
};

use crate::{Show, pair, printed};

#[derive(Serialize, Deserialize)]
struct Example {
    foo: i64,
    /// Does not travel.
    #[serde(skip)]
    bar: String,
    baz: String,
}

impl Show for Example {
    fn show(&self) -> String {
        let Self { foo, bar, baz } = self;
        format!("&{{Foo:{foo} bar:{bar} Baz:{baz}}}")
    }
}

#[tokio::test]
async fn an_echo_server_of_one_function_gives_back_values_of_any_type() {
    let lines = printed(service(|body: Body| body), async |mut client: Client| {
        let mut out = String::new();
        let text = client.call::<String>("", "foobar").await;
        writeln!(out, "{}", pair(text)).unwrap();
        let number = client.call::<i64>("", &1234i64).await;
        writeln!(out, "{}", pair(number)).unwrap();
        let list = client.call::<Vec<String>>("", &["foo", "bar"][..]).await;
        writeln!(out, "{}", pair(list)).unwrap();
        let example = Example {
            foo: 123,
            bar: "324".into(),
            baz: "mmm".into(),
        };
        let example = client.call::<Example>("", &example).await;
        writeln!(out, "{}", pair(example)).unwrap();
        Ok(out)
    });
    assert_eq!(
        lines.await,
        "foobar, <nil>\n\
         1234, <nil>\n\
         [foo bar], <nil>\n\
         &{Foo:123 bar: Baz:mmm}, <nil>\n"
    );
}

#[derive(Serialize, Deserialize)]
struct Question {
    foo: i64,
    bar: String,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    baz: String,
    bar_len: usize,
}

impl Show for Answer {
    fn show(&self) -> String {
        format!("&{{Baz:{} BarLen:{}}}", self.baz, self.bar_len)
    }
}

impl Show for BTreeMap<String, i64> {
    fn show(&self) -> String {
        let entries = self.iter().map(|(key, value)| format!("{key}:{value}"));
        entries.collect::<Vec<_>>().join(", ")
    }
}

fn describe(Question { foo, bar }: Question) -> Reply<Answer> {
    Reply(Answer {
        baz: format!("foo={foo}, bar={bar}"),
        bar_len: bar.len(),
    })
}

fn error_42(x: i64) -> Result<i64, Error> {
    match x {
        42 => Err(Error::application(1, "error42")),
        _ => Ok(x),
    }
}

fn client_address(address: Address, x: i64) -> Result<i64, Error> {
    match address {
        Address::Tcp(address) if address.ip().is_loopback() => {
            let text = format!("invalid rpc client host: [{}]", address.ip());
            Err(Error::application(2, text))
        }
        _ => Ok(x),
    }
}

#[tokio::test]
async fn functions_are_called_by_their_names() {
    let count = Arc::new(AtomicI64::new(0));
    let counter = count.clone();
    let router = Router::new()
        .route("Inc", move || _ = counter.fetch_add(1, Ordering::Relaxed))
        .route("Func42", || 42i64)
        .route("Echo", |text: String| text)
        .route("Struct", describe)
        .route("Map", |map: BTreeMap<String, i64>| map)
        .route("Slice", |list: Vec<String>| list)
        .route("Error", || Err::<(), _>(Error::application(1, "error")))
        .route("Error42", error_42)
        .route("ClientAddr", client_address);
    let lines = printed(router, async |mut client: Client| {
        let mut out = String::new();
        let done = pair(client.call::<()>("Inc", &()).await);
        let count = count.load(Ordering::Relaxed);
        writeln!(out, "Inc={done}, {count}").unwrap();
        let number = client.call::<i64>("Func42", &()).await;
        writeln!(out, "Func42={}", pair(number)).unwrap();
        let text = client.call::<String>("Echo", "foobar").await;
        writeln!(out, "Echo={}", pair(text)).unwrap();
        let question = Question {
            foo: 42,
            bar: "bar".into(),
        };
        let answer = client.call::<Answer>("Struct", &question).await;
        writeln!(out, "Struct={}", pair(answer)).unwrap();
        let map = BTreeMap::from([("foo", 1i64), ("bar", 2)]);
        let map = client.call::<BTreeMap<String, i64>>("Map", &map).await?;
        writeln!(out, "Map=foo:{}, bar:{}, <nil>", map["foo"], map["bar"]).unwrap();
        let list = client.call::<Vec<String>>("Slice", &["foo", "bar"][..]);
        writeln!(out, "Slice={}", pair(list.await)).unwrap();
        let error = client.call::<()>("Error", &()).await;
        writeln!(out, "Error={}", pair(error)).unwrap();
        for x in [123i64, 42] {
            let answer = client.call::<i64>("Error42", &x).await;
            writeln!(out, "Error42({x})={}", pair(answer)).unwrap();
        }
        let refused = client.call::<i64>("ClientAddr", &1i64).await;
        writeln!(out, "ClientAddr={}", pair(refused)).unwrap();
        Ok(out)
    });
    assert_eq!(
        lines.await,
        "Inc=<nil>, <nil>, 1\n\
         Func42=42, <nil>\n\
         Echo=foobar, <nil>\n\
         Struct=&{Baz:foo=42, bar=bar BarLen:3}, <nil>\n\
         Map=foo:1, bar:2, <nil>\n\
         Slice=[foo bar], <nil>\n\
         Error=<nil>, error\n\
         Error42(123)=123, <nil>\n\
         Error42(42)=<nil>, error42\n\
         ClientAddr=<nil>, invalid rpc client host: [127.0.0.1]\n"
    );
}

type Number = Arc<AtomicI64>;

fn get(State(number): State<Number>) -> i64 {
    number.load(Ordering::Relaxed)
}

fn set(State(number): State<Number>, x: i64) {
    number.store(x, Ordering::Relaxed);
}

fn get_error_42(State(number): State<Number>) -> Result<i64, Error> {
    error_42(number.load(Ordering::Relaxed))
}

#[tokio::test]
async fn the_methods_of_an_object_share_its_state_with_the_program() {
    let number = Number::new(AtomicI64::new(123));
    let service = Router::new()
        .route("Get", get)
        .route("Set", set)
        .route("GetError42", get_error_42)
        .with_state(number.clone());
    let router = Router::new().nest("MyService", service);
    let lines = printed(router, async |mut client: Client| {
        let mut out = String::new();
        let answer = client.call::<i64>("MyService.Get", &()).await;
        writeln!(out, "Get={}", pair(answer)).unwrap();
        number.store(456, Ordering::Relaxed);
        let answer = client.call::<i64>("MyService.Get", &()).await;
        writeln!(out, "Get={}", pair(answer)).unwrap();
        let done = pair(client.call::<()>("MyService.Set", &78i64).await);
        let now = number.load(Ordering::Relaxed);
        writeln!(out, "Set={done}, {now}").unwrap();
        let answer = client.call::<i64>("MyService.GetError42", &()).await;
        writeln!(out, "GetError42={}", pair(answer)).unwrap();
        number.store(42, Ordering::Relaxed);
        let answer = client.call::<i64>("MyService.GetError42", &()).await;
        writeln!(out, "GetError42={}", pair(answer)).unwrap();
        Ok(out)
    });
    assert_eq!(
        lines.await,
        "Get=123, <nil>\n\
         Get=456, <nil>\n\
         Set=<nil>, <nil>, 78\n\
         GetError42=78, <nil>\n\
         GetError42=<nil>, error42\n"
    );
}

fn needs_42(list: Vec<String>) -> Result<Vec<String>, Error> {
    match list.len() {
        42 => Err(Error::application(1, "need 42 strings")),
        _ => Ok(list),
    }
}

#[tokio::test]
async fn functions_of_every_shape_can_be_added() {
    let router = Router::new()
        .route("NoArgsNoRets", || {})
        .route("OneArgNoRets", |_: String| {})
        .route("NoArgsOneRet", || 42i64)
        .route("TwoArgsNoRets", |_: Address, _: Vec<u8>| {})
        .route("OneArgTwoRets", needs_42);
    let lines = printed(router, async |mut client: Client| {
        let mut out = String::new();
        for (method, done) in [
            ("NoArgsNoRets", client.call("NoArgsNoRets", &()).await),
            ("OneArgNoRets", client.call("OneArgNoRets", "x").await),
            (
                "TwoArgsNoRets",
                client.call("TwoArgsNoRets", vec![1u8]).await,
            ),
        ] {
            writeln!(out, "{method}={}", pair::<()>(done)).unwrap();
        }
        let number = client.call::<i64>("NoArgsOneRet", &()).await;
        writeln!(out, "NoArgsOneRet={}", pair(number)).unwrap();
        for count in [2, 42] {
            let list = vec!["x"; count];
            let answer = client.call::<Vec<String>>("OneArgTwoRets", &list).await;
            writeln!(out, "OneArgTwoRets={}", pair(answer)).unwrap();
        }
        Ok(out)
    });
    // The example prints nothing: these lines say only that each can be called.
    assert_eq!(
        lines.await,
        "NoArgsNoRets=<nil>, <nil>\n\
         OneArgNoRets=<nil>, <nil>\n\
         TwoArgsNoRets=<nil>, <nil>\n\
         NoArgsOneRet=42, <nil>\n\
         OneArgTwoRets=[x x], <nil>\n\
         OneArgTwoRets=<nil>, need 42 strings\n"
    );
}

#[tokio::test]
async fn the_calls_of_a_batch_have_their_answers_in_order() {
    let router = Router::new().route("Echo", |x: i64| x);
    let lines = printed(router, async |client: Client| {
        let batch = client.batch();
        let items = (0..3i64).map(|i| batch.call::<i64>("Echo", &i));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        batch.run().await?;
        let mut out = String::new();
        for (i, item) in items.into_iter().enumerate() {
            writeln!(out, "response[{i}]={}", pair(item.take())).unwrap();
        }
        Ok(out)
    });
    assert_eq!(
        lines.await,
        "response[0]=0, <nil>\n\
         response[1]=1, <nil>\n\
         response[2]=2, <nil>\n"
    );
}
