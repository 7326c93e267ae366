//! What a caller can tell of a call that failed: what happened, whether it ran, and what the application says.

use serde::{Deserialize, Serialize};
use steeple::{
    BoxError, Error, ErrorExt, Execution, Kind, Origin, Router,
    codec::{AnyCodec, Codec},
    conn::Unserved,
};

use crate::connect;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Refusal {
    NoSuchItem { item: String },
    OutOfStock { left: u32 },
}

async fn buy(codec: AnyCodec, (item, count): (String, u32)) -> Result<(), Error> {
    let refusal = match &item[..] {
        "pear" if count > 3 => Refusal::OutOfStock { left: 3 },
        "pear" => return Ok(()),
        _ => Refusal::NoSuchItem { item },
    };
    Err(Error::application(7, "no deal").encode_details(&codec, &refusal)?)
}

async fn broken() -> Result<(), BoxError> {
    Err(std::io::Error::other("the disk is full"))?
}

fn shop() -> Router {
    Router::new().route("Buy", buy).route("Broken", broken)
}

#[tokio::test(start_paused = true)]
async fn details_of_an_applications_error_arrive_in_the_encoding_of_the_call() {
    let (client, _server) = connect(shop(), Unserved).await;
    for codec in AnyCodec::all() {
        let mut client = client.clone().codec(*codec);
        let error = client.call::<()>("Buy", &("pear", 8u32)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.origin(), error.execution()),
            (Kind::Application, Origin::Remote, Execution::Executed)
        );
        let application = error.as_application().unwrap();
        assert_eq!(application.code(), 7);
        let (encoding, _) = application.details().unwrap();
        assert_eq!(encoding, codec.encoding().number());
        let refusal = error.decode_details::<Refusal>().unwrap().unwrap();
        assert_eq!(refusal, Refusal::OutOfStock { left: 3 });

        let error = client.call::<()>("Buy", &("fig", 1u32)).await.unwrap_err();
        let Some(Ok(Refusal::NoSuchItem { item })) = error.decode_details() else {
            panic!("{error:?}")
        };
        assert_eq!(item, "fig");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_tells_by_the_kind_what_happened_and_by_the_execution_if_it_ran() {
    let (mut client, server) = connect(shop(), Unserved).await;
    let unknown = client.call::<()>("Sell", &()).await.unwrap_err();
    assert_eq!(
        (unknown.kind(), unknown.execution()),
        (Kind::Unimplemented, Execution::NotStarted)
    );
    let ill = client.call::<()>("Buy", "a pear").await.unwrap_err();
    assert_eq!(
        (ill.kind(), ill.execution()),
        (Kind::Invalid, Execution::NotStarted)
    );
    let broken = client.call::<()>("Broken", &()).await.unwrap_err();
    assert_eq!(
        (broken.kind(), broken.execution()),
        (Kind::Internal, Execution::Executed)
    );
    assert_eq!(broken.to_string(), "the disk is full");
    // It ran, and its answer is none.
    let wrong = client
        .call::<u64>("Buy", &("pear", 1u32))
        .await
        .unwrap_err();
    assert_eq!(
        (wrong.kind(), wrong.execution()),
        (Kind::Invalid, Execution::Executed)
    );
    assert!(broken.decode_details::<Refusal>().is_none());

    server.drain().await;
    let gone = client.call::<()>("Buy", &("pear", 1u32)).fail_fast(true);
    assert!(gone.await.unwrap_err().execution().is_safe_to_repeat());
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_raw_bytes_has_no_codec_for_details() {
    let (client, _server) = connect(shop(), Unserved).await;
    let mut raw = client.into_service();
    let request = steeple::Request::new("Buy", "pear".into());
    let error = tower::ServiceExt::ready(&mut raw).await.unwrap();
    let error = tower::Service::call(error, request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Invalid, Execution::NotStarted)
    );
    assert!(error.to_string().contains("raw bytes only"), "{error}");
}
