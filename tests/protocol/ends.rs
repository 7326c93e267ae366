//! What calls are told when the connection fails, and that "not sent" is never said of what was.

use std::{io, ops::Range, time::Duration};

use futures_util::FutureExt;
use steeple::{
    Channel, Connector, Execution, Kind, Options, Origin,
    transport::{
        Listener,
        mem::{MemNetwork, MemStream},
    },
    wire::numbers::{kind, preface, reason},
};
use tokio::io::AsyncWriteExt;
use tower::Service;

use crate::support::{
    RawPeer, Tap, Tapped, call, data, dial, echo, goaway, magic, request, response, serve, settle,
    soon,
};

/// Lets writes fail after so many bytes.
struct Breaking(usize);

impl Tap for Breaking {
    fn allows(&mut self, len: usize) -> io::Result<usize> {
        match len.min(self.0) {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            len => Ok(len),
        }
    }

    fn took(&mut self, bytes: &[u8]) {
        self.0 -= bytes.len();
    }
}

/// The length of what a client writes before its first call.
async fn opening() -> usize {
    let (_channel, mut server) = dial(Options::new());
    let hello = server.expect_greeting().await;
    preface::LEN + 16 + hello.body.len()
}

/// A client whose stream takes so many bytes, and the server's end.
fn breaking(left: usize, options: Options) -> (Channel, RawPeer) {
    let (inner, far) = MemStream::pair(1 << 20);
    let channel = Connector::new().options(options).connect_io(
        Tapped {
            inner,
            tap: Breaking(left),
        },
        None,
    );
    (channel, RawPeer::new(far))
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_an_end_does_not_stand_behind_answers_that_wait_for_a_slow_stream() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    let answers = |ids: Range<u32>| ids.map(|n| request(2 * n, "echo").body([7; 60_000]));
    // Of these, some are being written.
    client.send_all(answers(1..4)).await;
    settle().await;
    client.send_all(answers(4..100)).await;
    settle().await;
    client.send(data(2, b"?")).await;
    let mut answered = 0;
    let last = loop {
        let frame = client.message().await;
        if frame.kind != kind::RESPONSE {
            break frame;
        }
        answered += 1;
    };
    assert_eq!((last.kind, last.code), (kind::GOAWAY, reason::PROTOCOL));
    assert!((1..10).contains(&answered), "{answered} answers");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_last_byte_was_not_taken_was_not_sent() {
    let opening = opening().await;
    let (bind, frame) = (16 + 5, 16 + 10);
    for (left, executions) in [
        (bind + frame - 1, [Execution::NotSent, Execution::NotSent]),
        (bind + frame, [Execution::MaybeExecuted, Execution::NotSent]),
        (
            bind + 2 * frame - 1,
            [Execution::MaybeExecuted, Execution::NotSent],
        ),
    ] {
        let (mut channel, _server) = breaking(opening + left, Options::new());
        let answers = [
            channel.call(call("echo", [0; 10])),
            channel.call(call("echo", [0; 10])),
        ];
        for (answer, execution) in answers.into_iter().zip(executions) {
            let error = soon(answer).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.origin()),
                (Kind::Connection, Origin::Transport)
            );
            assert_eq!(error.execution(), execution, "after {left} bytes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunked_call_was_sent_only_with_its_last_chunk() {
    let opening = opening().await;
    // With a mark behind the first chunk.
    let whole = 16 + 5 + 16 + 8 + 65_536 + 16 + 16 + 34_464;
    for (left, execution) in [
        (whole - 1, Execution::NotSent),
        (whole, Execution::MaybeExecuted),
        (100, Execution::NotSent),
    ] {
        let (mut channel, _server) = breaking(opening + left, Options::new());
        let answer = channel.call(call("echo", vec![0; 100_000]));
        settle().await;
        // Writing more is how the stream finds out that it broke.
        let more = channel.call(call("echo", "more"));
        let error = soon(answer).await.unwrap_err();
        assert_eq!(error.execution(), execution, "after {left} bytes");
        assert_eq!(
            soon(more).await.unwrap_err().execution(),
            Execution::NotSent
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_of_the_stream_with_calls_under_way_is_a_loss() {
    let (mut channel, mut server) = dial(Options::new().max_calls(1));
    server.shake_hands().await;
    let sent = channel.call(call("echo", "1"));
    let pending = channel.call(call("echo", "2"));
    server.expect_request("echo").await;
    server.shutdown().await;
    for (answer, execution) in [
        (sent, Execution::MaybeExecuted),
        (pending, Execution::NotSent),
    ] {
        let error = soon(answer).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Connection, execution)
        );
        assert!(
            error.to_string().contains("closed the connection"),
            "{error}"
        );
    }
    let error = soon(channel.call(call("echo", "3"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::NotSent)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_the_cause_of_the_errors() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "1"));
    settle().await;
    // Dropped with unread bytes, as a process that was killed.
    drop(server);
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
    let source = std::error::Error::source(&error).unwrap();
    let source = source.to_string();
    assert!(source.contains("reset"), "{source}");
}

#[tokio::test(start_paused = true)]
async fn an_end_without_anything_under_way_is_in_order() {
    let (mut client, server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client.send(request(2, "echo")).await;
    client.expect(response(2)).await;
    client.shutdown().await;
    client.expect_eof().await;
    server.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_end_within_a_frame_is_a_loss() {
    let (mut client, server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client.write(&request(2, "echo").encode()[..10]).await;
    client.shutdown().await;
    assert_eq!(server.ended().await.unwrap_err().kind(), Kind::Connection);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_task_of_a_connection_fails_its_calls() {
    let (near, far) = MemStream::pair(1024);
    let (mut peer, connection) =
        steeple::conn::Builder::new(steeple::wire::Role::Dialer).build(near, echo());
    let task = tokio::spawn(connection);
    let mut server = RawPeer::new(far);
    server.shake_hands().await;
    let sent = peer.call(call("echo", "1"));
    server.expect_request("echo").await;
    let unsent = peer.call(call("echo", "2"));
    task.abort();
    for (answer, execution) in [
        (sent, Execution::MaybeExecuted),
        (unsent, Execution::NotSent),
    ] {
        let error = soon(answer).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Connection, execution)
        );
        assert!(error.to_string().contains("task was dropped"), "{error}");
    }
    assert!(peer.is_closed());
    assert_eq!(
        soon(peer.call(call("echo", ""))).await.unwrap_err().kind(),
        Kind::Connection
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_the_protocol_is_told_and_its_calls_fail() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let answer = channel.call(call("echo", "1"));
    server.expect_request("echo").await;
    server.send(crate::support::Frame::new(77, 0)).await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
    assert!(error.to_string().contains("kind 77"), "{error}");
    let frame = loop {
        let frame = server.message().await;
        if frame.kind == kind::GOAWAY {
            break frame;
        }
    };
    let text = String::from_utf8(frame.body).unwrap();
    assert!(text.contains("kind 77"), "{text}");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after completion")]
async fn a_response_future_is_not_polled_after_its_result() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut answer = channel.call(call("echo", ""));
    let id = server.expect_request("echo").await.id;
    server.send(response(id)).await;
    soon(&mut answer).await.unwrap();
    soon(&mut answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_close_its_side_is_not_waited_for() {
    // The timer of the living connection fires before the patience of the ended one is over.
    let interval = Duration::from_millis(500);
    let (mut client, server) = serve(
        Options::new()
            .keepalive(interval)
            .keepalive_timeout(interval),
        echo(),
    );
    client.shake_hands().await;
    server.close();
    server.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_large_call_taken_out_of_the_output_does_not_make_a_later_one_unsent() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let large = channel.call(call("echo", vec![0; 50_000]));
    let pay = channel.call(call("pay", "5"));
    drop(large);
    server.expect_request("pay").await;
    server.shutdown().await;
    let error = soon(pay).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
}

/// Says a farewell to this side in the very moment in which a write fails.
struct Farewell {
    far: MemStream,
    left: usize,
}

impl Tap for Farewell {
    fn allows(&mut self, len: usize) -> io::Result<usize> {
        if self.left > 0 {
            return Ok(len.min(self.left));
        }
        let refused = goaway(reason::REFUSED).body("not today").encode();
        let opening = magic(preface::MAX_VERSION, preface::MIN_VERSION);
        let bytes = [&opening[..], &refused].concat();
        let said = self.far.write_all(&bytes).now_or_never();
        said.expect("there is room")?;
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn took(&mut self, bytes: &[u8]) {
        self.left -= bytes.len();
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_said_before_it_went_is_told_and_not_that_a_write_failed() {
    let (inner, far) = MemStream::pair(1 << 20);
    let tap = Farewell { far, left: 4 };
    let mut channel = Connector::new().connect_io(Tapped { inner, tap }, None);
    let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
    assert_eq!(channel.stats().write_errors, 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_counted() {
    let (mut channel, _server) = breaking(0, Options::new());
    soon(channel.call(call("echo", "x"))).await.unwrap_err();
    let stats = channel.stats();
    assert_eq!((stats.write_errors, stats.read_errors), (1, 0));
    assert_eq!((stats.write_calls, stats.bytes_written), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_counted_and_the_end_of_a_stream_is_no_failure() {
    for (killed, read_errors) in [(true, 1), (false, 0)] {
        let network = MemNetwork::new(1);
        let mut listener = network.listen("server").unwrap();
        let stream = network.connect("client", "server").await.unwrap();
        let mut channel = Connector::new().connect_io(stream, None);
        let (far, _) = listener.accept().await.unwrap();
        let mut server = RawPeer::new(far);
        server.shake_hands().await;
        let answer = channel.call(call("echo", "x"));
        server.expect_request("echo").await;
        match killed {
            true => drop(network.link("client", "server").kill()),
            false => drop(server),
        }
        soon(answer).await.unwrap_err();
        let stats = channel.stats();
        assert_eq!((stats.read_errors, stats.write_errors), (read_errors, 0));
    }
}
