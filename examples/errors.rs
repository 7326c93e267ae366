//! What can be told of a call that failed: what happened, whether it ran, and what the application says.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use steeple::{Client, Error, ErrorExt, Execution, Kind, Router, Server, codec::AnyCodec};

/// Why the till says no. It travels in the encoding that the caller chose.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Refusal {
    TooMuch { limit: u32 },
    Closed,
}

const REFUSED: u16 = 1;

async fn pay(codec: AnyCodec, cents: u32) -> Result<u32, Error> {
    let refusal = match cents {
        0 => Refusal::Closed,
        1..=100 => return Ok(cents),
        _ => Refusal::TooMuch { limit: 100 },
    };
    Err(Error::application(REFUSED, "no sale").encode_details(&codec, &refusal)?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let router = Router::new()
        .route("Pay", pay)
        .route("Never", std::future::pending::<()>);
    let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(router);
    let mut client = Client::connect(server.address()).await?;

    // An application's error has a code, a text, and a value of one's own.
    let error = client.call::<u32>("Pay", &500u32).await.unwrap_err();
    let refusal = error.decode_details::<Refusal>();
    println!("{error}: {refusal:?}");
    assert!(matches!(refusal, Some(Ok(Refusal::TooMuch { limit: 100 }))));

    // All errors say what happened, and whether the handler may have run.
    let wrong_name = client.call::<()>("Play", &()).await;
    tell(wrong_name, Kind::Unimplemented, Execution::NotStarted);
    let wrong_argument = client.call::<u32>("Pay", "a lot").await;
    tell(wrong_argument, Kind::Invalid, Execution::NotStarted);
    let too_late = client
        .call::<()>("Never", &())
        .timeout(Duration::from_millis(20))
        .await;
    tell(too_late, Kind::Timeout, Execution::MaybeExecuted);

    server.drain().await;
    let nobody = client.call::<u32>("Pay", &5u32).fail_fast(true).await;
    tell(nobody, Kind::Unreachable, Execution::NotSent);
    Ok(())
}

fn tell<T>(answer: Result<T, Error>, kind: Kind, execution: Execution) {
    let Err(error) = answer else {
        panic!("this call fails")
    };
    let safe = error.execution().is_safe_to_repeat();
    println!("{}: {error}; safe to repeat: {safe}", error.kind());
    assert_eq!((error.kind(), error.execution()), (kind, execution));
}
