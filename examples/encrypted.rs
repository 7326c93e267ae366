//! Bodies that nobody on the way can read or change: ChaCha20-Poly1305 in a pair of functions, around a client and
//! around a server that have one key.
//!
//! It hides the bodies of requests and answers, and nothing else: the names of methods, metadata and errors stay as
//! they are. Use it where a proxy or a message broker must not see what passes through it, and TLS below it for the
//! rest.

use std::sync::Arc;

use bytes::Bytes;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use steeple::{
    BoxError, Client, Error, Kind, Request, Response, Router, Server, layers::TransformLayer,
};
use tower::{ServiceBuilder, service_fn};

/// A secret that both sides have.
#[derive(Clone)]
struct Secret {
    key: Arc<LessSafeKey>,
    random: SystemRandom,
}

/// What a body is for, which is sealed with it: so no request can be passed off as an answer.
const REQUEST: &[u8] = b"request";
const ANSWER: &[u8] = b"answer";

impl Secret {
    fn new(key: [u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("32 bytes are a key");
        Self {
            key: Arc::new(LessSafeKey::new(key)),
            random: SystemRandom::new(),
        }
    }

    /// `nonce ‖ ciphertext ‖ tag`. The nonce is random: 2^32 bodies are what one key is good for.
    fn seal(&self, what: &'static [u8], body: &[u8]) -> Result<Bytes, BoxError> {
        let mut nonce = [0; NONCE_LEN];
        let failed = |_| "this body cannot be sealed";
        self.random.fill(&mut nonce).map_err(failed)?;
        let mut sealed = body.to_vec();
        let key = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(key, Aad::from(what), &mut sealed)
            .map_err(failed)?;
        Ok([&nonce, &*sealed].concat().into())
    }

    fn open(&self, what: &'static [u8], sealed: &[u8]) -> Result<Bytes, BoxError> {
        let forged = "this body was not sealed with our key, or was changed since";
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(forged)?;
        let mut body = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(what), &mut body);
        let len = opened.map_err(|_| forged)?.len();
        body.truncate(len);
        Ok(body.into())
    }

    /// One direction of a [`TransformLayer`].
    fn sealing(
        &self,
        what: &'static [u8],
    ) -> impl Fn(Bytes) -> Result<Bytes, BoxError> + Clone + Send + 'static {
        let secret = self.clone();
        move |body| secret.seal(what, &body)
    }

    /// The other.
    fn opening(
        &self,
        what: &'static [u8],
    ) -> impl Fn(Bytes) -> Result<Bytes, BoxError> + Clone + Send + 'static {
        let secret = self.clone();
        move |body| secret.open(what, &body)
    }
}

fn upper(text: String) -> String {
    text.to_uppercase()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut key = [0; 32];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| "no randomness")?;
    let secret = Secret::new(key);

    // The mirror image of the client's: what the client does last is undone first.
    let service = ServiceBuilder::new()
        .layer(TransformLayer::server(
            secret.sealing(ANSWER),
            secret.opening(REQUEST),
        ))
        .service(Router::new().route("Upper", upper));
    let handle = Server::bind("tcp://127.0.0.1:0").await?.spawn(service);

    let channel = steeple::Channel::connect(handle.address()).await?;
    // Between the two, somebody who looks at everything.
    let spied = ServiceBuilder::new()
        .map_request(|request: Request| {
            let bytes = request.body().as_bytes();
            assert!(!bytes.windows(6).any(|part| part == b"secret"));
            println!(
                "{}: {} bytes that say nothing",
                request.method(),
                bytes.len()
            );
            request
        })
        .service(channel.clone());
    let stack = ServiceBuilder::new()
        .layer(TransformLayer::client(
            secret.sealing(REQUEST),
            secret.opening(ANSWER),
        ))
        .service(spied);
    let mut client = Client::new(stack);
    let answer: String = client.call("Upper", "a secret").await?;
    assert_eq!(answer, "A SECRET");

    // Who has no key, or changes a byte, is refused before the handler starts.
    let mut plain = Client::new(channel);
    let error = plain.call::<String>("Upper", "a secret").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    println!("without the key: {error}");

    // And an answer that was changed on the way is no answer.
    let liar =
        service_fn(
            |request: Request| async move { Ok::<_, Error>(Response::new(request.into_body())) },
        );
    let stack = ServiceBuilder::new()
        .layer(TransformLayer::client(
            secret.sealing(REQUEST),
            secret.opening(ANSWER),
        ))
        .service(liar);
    let error = Client::new(stack)
        .call::<String>("Upper", "x")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    println!("an answer that is our own request: {error}");

    handle.drain().await;
    Ok(())
}
