//! Who calls, and whether they may.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use steeple::{
    Error, Execution, Kind, Options, Request, Response,
    layers::{
        AsyncAuthLayer, AuthLayer, BearerLayer,
        auth::{AUTHORIZATION, Token, bearer},
    },
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use crate::support::{call, request, serve, status_of};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq)]
struct User(String);

fn check(request: &mut Request) -> Result<(), Error> {
    let user = bearer(request).ok_or_else(|| Error::new(Kind::Unauthenticated, "who are you?"))?;
    let user = User(user.to_owned());
    if user.0 == "eve" {
        return Err(Error::new(Kind::PermissionDenied, "not you").executed());
    }
    request.extensions_mut().insert(user);
    Ok(())
}

/// Answers who has called.
async fn who(request: Request) -> Result<Response, Error> {
    let User(name) = request.extensions().get().unwrap();
    Ok(Response::new(name.clone().into()))
}

fn by(token: &str) -> Request {
    let mut request = call("Get", "");
    request
        .metadata_mut()
        .insert(AUTHORIZATION, format!("Bearer {token}"));
    request
}

async fn check_later(mut request: Request) -> Result<Request, Error> {
    sleep(SECOND).await;
    check(&mut request).map(|()| request)
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_does_not_hold_what_it_was_ready_with() {
    let limited = ConcurrencyLimitLayer::new(1).layer(service_fn(who));
    let mut refused = AuthLayer::new(check).layer(limited.clone());
    refused.ready().await.unwrap();
    refused.call(call("Get", "")).await.unwrap_err();
    let mut later = AsyncAuthLayer::new(check_later).layer(limited.clone());
    later.ready().await.unwrap();
    later.call(call("Get", "")).await.unwrap_err();
    let mut request = call("Get", "");
    request.extensions_mut().insert(User("ada".to_owned()));
    limited.oneshot(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_is_let_in_with_what_the_function_left_there_or_refused_before_it_starts() {
    let mut at_once = AuthLayer::new(check).layer(service_fn(who));
    let mut later = AsyncAuthLayer::new(check_later).layer(service_fn(who));
    for (request, expected) in [
        (by("ann"), Ok("ann")),
        (by("eve"), Err(Kind::PermissionDenied)),
        (call("Get", ""), Err(Kind::Unauthenticated)),
    ] {
        for answer in [
            at_once.call(request.clone()).await,
            later.call(request).await,
        ] {
            match (answer, expected) {
                (Ok(answer), Ok(name)) => assert_eq!(answer.body().as_bytes(), name),
                (Err(error), Err(kind)) => {
                    assert_eq!(error.kind(), kind);
                    assert_eq!(error.execution(), Execution::NotStarted);
                }
                (answer, _) => panic!("{answer:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_told_that_its_call_was_not_started() {
    use steeple::wire::numbers::status;

    let (mut client, _server) = serve(Options::new(), AuthLayer::new(check).layer(service_fn(who)));
    client.shake_hands().await;
    client.send(request(2, "Get")).await;
    let answer = client.expect_response(2).await;
    let told = (status::UNAUTHENTICATED, true, "who are you?".to_owned());
    assert_eq!(status_of(&answer), told);
}

/// Who issues tokens: "1", "2" and so on.
#[derive(Clone, Default)]
struct Issuer {
    issued: Arc<AtomicUsize>,
    lives: Option<Duration>,
    down: bool,
}

impl Issuer {
    async fn issue(self) -> Result<Token, &'static str> {
        let number = self.issued.fetch_add(1, SeqCst) + 1;
        sleep(SECOND).await;
        if self.down {
            return Err("the issuer is down");
        }
        let token = Token::new(number);
        Ok(match self.lives {
            Some(time) => token.expires_in(time),
            None => token,
        })
    }

    fn issued(&self) -> usize {
        self.issued.load(SeqCst)
    }

    /// A client that gets its tokens here, of a server that answers them.
    fn client(
        &self,
    ) -> impl Service<Request, Response = Response, Error = Error, Future: Send + 'static> + Clone + use<>
    {
        let issuer = self.clone();
        let server = service_fn(|request: Request| async move {
            let token = bearer(&request).unwrap().to_owned();
            match request.method() == "Refuse" {
                true => Err(Error::new(Kind::Unauthenticated, "not this one")),
                false => Ok(Response::new(token.into())),
            }
        });
        BearerLayer::new(move || issuer.clone().issue()).layer(server)
    }
}

async fn token(client: &mut impl Service<Request, Response = Response, Error = Error>) -> String {
    let answer = client.call(call("Get", "")).await.unwrap();
    String::from_utf8(answer.body().as_bytes().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn all_calls_wait_for_one_token_and_use_it() {
    let issuer = Issuer::default();
    let mut client = issuer.client();
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(client.clone().call(call("Get", ""))))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().body().as_bytes(), "1");
    }
    assert_eq!(token(&mut client).await, "1");
    assert_eq!(issuer.issued(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_a_tenth_before_it_expires() {
    let issuer = Issuer {
        lives: Some(100 * SECOND),
        ..Issuer::default()
    };
    let mut client = issuer.client();
    assert_eq!(token(&mut client).await, "1");
    sleep(89 * SECOND).await;
    assert_eq!(token(&mut client).await, "1");
    sleep(SECOND).await;
    assert_eq!(token(&mut client).await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_a_server_refuses_is_replaced_with_the_next_call() {
    let issuer = Issuer::default();
    let mut client = issuer.client();
    assert_eq!(token(&mut client).await, "1");
    let error = client.call(call("Refuse", "")).await.unwrap_err();
    assert_eq!(error.to_string(), "not this one");
    assert_eq!(token(&mut client).await, "2");
}

#[tokio::test(start_paused = true)]
async fn when_there_is_no_token_all_who_wait_are_told_why_and_the_next_call_asks_anew() {
    let issuer = Issuer {
        down: true,
        ..Issuer::default()
    };
    let client = issuer.client();
    let begin = Instant::now();
    let calls: Vec<_> = (0..10)
        .map(|_| tokio::spawn(client.clone().call(call("Get", ""))))
        .collect();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthenticated);
        assert_eq!(error.execution(), Execution::NotSent);
        assert_eq!(error.source().unwrap().to_string(), "the issuer is down");
    }
    assert_eq!((issuer.issued(), begin.elapsed()), (1, SECOND));
    client.clone().call(call("Get", "")).await.unwrap_err();
    assert_eq!(issuer.issued(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_token_ends_with_the_deadline_and_somebody_else_goes_on() {
    let issuer = Issuer::default();
    let client = issuer.client();
    let mut hasty = call("Get", "");
    hasty.cx_mut().set_timeout(SECOND / 2);
    let hasty = tokio::spawn(client.clone().call(hasty));
    let patient = tokio::spawn(client.clone().call(call("Get", "")));
    let error = hasty.await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Timeout, Execution::NotSent)
    );
    // The fetch of the first ended with it.
    assert_eq!(patient.await.unwrap().unwrap().body().as_bytes(), "2");
}

#[test]
fn a_token_does_not_show_its_text() {
    let token = Token::new("sesame");
    assert_eq!(format!("{token:?}"), "Token { .. }");
}
