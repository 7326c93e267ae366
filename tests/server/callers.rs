//! Rate limits by who calls.

use std::{net::IpAddr, time::Duration};

use steeple::{
    Channel, Error, Execution, Kind, Peer, Request, Response, Server, ServerHandle,
    layers::{RateLimitLayer, rate_limit::Rate},
};
use tower::{Layer, Service, service_fn};

use crate::support::{call, echo};

#[derive(Clone, PartialEq, Eq, Hash)]
struct User(String);

/// Three calls for each caller, and no other for an hour.
fn three() -> RateLimitLayer {
    RateLimitLayer::new(Rate::new(3, Duration::from_secs(3600))).max_waiting(0)
}

fn ip(request: &Request) -> Option<IpAddr> {
    Peer::of(request)?.address()?.ip()
}

fn user(request: &Request) -> Option<User> {
    Peer::of(request)?.values().get()
}

async fn connect(server: &ServerHandle) -> Channel {
    Channel::connect(server.address()).await.unwrap()
}

async fn answers(channel: &Channel) -> bool {
    match channel.clone().call(call("Get", "")).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Overflow);
            assert_eq!(error.execution(), Execution::NotStarted);
            false
        }
    }
}

#[tokio::test]
async fn connections_from_one_address_share_the_limit_of_their_ip() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.spawn(three().by(ip).layer(echo()));
    let (one, other) = (connect(&server).await, connect(&server).await);
    for channel in [&one, &other, &one] {
        assert!(answers(channel).await);
    }
    for channel in [&one, &other, &connect(&server).await] {
        assert!(!answers(channel).await);
    }
}

#[tokio::test]
async fn connections_of_one_user_share_the_limit_of_their_identity() {
    let log_in = service_fn(|request: Request| async move {
        if request.method() == "LogIn" {
            let name = String::from_utf8_lossy(request.body().as_bytes()).into_owned();
            let peer = Peer::of(&request).expect("it came in");
            peer.values().insert(User(name));
        }
        Ok::<_, Error>(Response::new(request.into_body()))
    });
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.spawn(three().by(user).layer(log_in));
    let mut channels = Vec::new();
    for name in ["ann", "ann", "bob"] {
        let mut channel = connect(&server).await;
        // Those who are not known yet have one limit together, and this is the third call.
        channel.call(call("LogIn", name)).await.unwrap();
        channels.push(channel);
    }
    let [ann, also_ann, bob] = &channels[..] else {
        unreachable!("there are three");
    };
    for channel in [ann, also_ann, ann] {
        assert!(answers(channel).await);
    }
    for (channel, answered) in [(ann, false), (also_ann, false), (bob, true)] {
        assert_eq!(answers(channel).await, answered);
    }
    assert!(!answers(&connect(&server).await).await);
}
