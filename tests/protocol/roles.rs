//! Two ends that have the same role: each is told so, in words, and within a time.

use steeple::{Error, Kind, Options, Peer, conn::Builder, transport::mem::MemStream, wire::Role};
use tokio::task::JoinHandle;
use tower::Service;

use crate::support::{call, echo, soon};

/// Two ends of one stream, both with this role, and their tasks.
fn both(role: Role) -> [(Peer, JoinHandle<Result<(), Error>>); 2] {
    let (left, right) = MemStream::pair(1024);
    [left, right].map(|io| {
        let builder = Builder::new(role).options(Options::new());
        let (peer, connection) = builder.build(io, echo());
        (peer, tokio::spawn(connection))
    })
}

#[tokio::test(start_paused = true)]
async fn two_that_dialled_tell_each_other_when_one_calls() {
    let [(mut caller, left), (mut called, right)] = both(Role::Dialer);
    let answers = [
        caller.call(call("echo", "x")),
        called.call(call("echo", "y")),
    ];
    for answer in answers {
        assert_eq!(soon(answer).await.unwrap_err().kind(), Kind::Connection);
    }
    for task in [left, right] {
        let error = soon(task).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("cannot be the id"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_accepted_do_not_wait_for_each_other_for_ever() {
    let [(mut caller, left), (_called, right)] = both(Role::Acceptor);
    let answer = caller.call(call("echo", "x"));
    let error = soon(answer).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection, "{error:?}");
    for task in [left, right] {
        let error = soon(task).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("did not open"), "{error}");
    }
}
