//! How a connection opens.

use std::time::Duration;

use steeple::{
    Execution, Kind, Options,
    wire::numbers::{hello as tlv, kind, reason},
};
use tokio::time::sleep;
use tower::Service;

use crate::support::{
    Frame, call, dial, echo, goaway, hello, magic, ping, pong, request, response, serve, settle,
    soon,
};

#[tokio::test(start_paused = true)]
async fn the_accepting_side_says_nothing_before_it_has_read_the_preface() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.expect_silence().await;
    client.write(&magic(1, 1)[..7]).await;
    client.expect_silence().await;
    client.write(&magic(1, 1)[7..]).await;
    client.send(hello()).await;
    client.expect_greeting().await;
}

#[tokio::test(start_paused = true)]
async fn the_dialling_side_opens_at_once_and_tells_its_limits() {
    let (_channel, mut server) = dial(Options::new());
    let hello = server.expect_greeting().await;
    let mut keys = Vec::new();
    let mut rest = &hello.body[..];
    while let [a, b, c, d, after @ ..] = rest {
        keys.push(u16::from_le_bytes([*a, *b]));
        rest = &after[usize::from(u16::from_le_bytes([*c, *d]))..];
    }
    for key in [
        tlv::MAX_FRAME,
        tlv::MAX_MESSAGE,
        tlv::MAX_CALLS,
        tlv::MAX_BINDINGS,
    ] {
        assert!(keys.contains(&key), "{keys:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_out_before_the_servers_hello() {
    let (mut channel, mut server) = dial(Options::new());
    let answer = channel.call(call("echo", "x"));
    server.expect_greeting().await;
    let request = server.expect_request("echo").await;
    server.greet().await;
    server.send(response(request.id).body("y")).await;
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "y");
}

#[tokio::test(start_paused = true)]
async fn requests_in_one_write_with_the_opening_are_served() {
    let (mut client, _server) = serve(Options::new(), echo());
    let mut bytes = magic(1, 1).to_vec();
    bytes.extend(hello().encode());
    bytes.extend(request(2, "echo").body("x").encode());
    client.write(&bytes).await;
    client.expect_greeting().await;
    client.expect(response(2).body("x")).await;
}

#[tokio::test(start_paused = true)]
async fn an_opening_may_come_byte_by_byte() {
    let (mut client, _server) = serve(Options::new(), echo());
    let mut bytes = magic(1, 1).to_vec();
    bytes.extend(hello().encode());
    bytes.extend(request(2, "echo").body("x").encode());
    for byte in bytes {
        client.write(&[byte]).await;
        settle().await;
    }
    client.expect_greeting().await;
    client.expect(response(2).body("x")).await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_version_of_both_is_spoken() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.write(&magic(9, 1)).await;
    client.send_all([hello(), request(2, "echo")]).await;
    client.expect_greeting().await;
    client.expect(response(2)).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_version_in_common_both_are_told() {
    let (mut client, server) = serve(Options::new(), echo());
    client.write(&magic(9, 2)).await;
    client.expect_preface().await;
    let text = client.expect_goaway(reason::VERSION).await;
    assert!(text.contains("versions 2 to 9"), "{text}");
    client.expect_eof().await;
    assert_eq!(server.ended().await.unwrap_err().kind(), Kind::Connection);
}

#[tokio::test(start_paused = true)]
async fn another_protocol_is_refused_by_its_first_byte() {
    let (mut client, server) = serve(Options::new(), echo());
    client.write(b"G").await;
    client.expect_preface().await;
    let text = client.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("not a steeple connection"), "{text}");
    client.expect_eof().await;
    server.ended().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn nothing_but_goaway_comes_before_hello() {
    for frame in [
        request(2, "echo"),
        response(2),
        ping(1),
        Frame::new(kind::BIND, 0),
    ] {
        let (mut client, _server) = serve(Options::new(), echo());
        client.write(&magic(1, 1)).await;
        client.send(frame).await;
        client.expect_preface().await;
        let text = client.expect_goaway(reason::PROTOCOL).await;
        assert!(text.contains("before HELLO"), "{text}");
        client.expect_eof().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_hello_breaks_the_protocol() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client.send(hello()).await;
    let text = client.expect_goaway(reason::PROTOCOL).await;
    assert!(text.contains("second HELLO"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_goaway_before_hello_says_that_no_call_was_started() {
    let (mut channel, mut server) = dial(Options::new());
    let answer = channel.call(call("echo", "x"));
    server.expect_greeting().await;
    server.expect_request("echo").await;
    server.write(&magic(1, 1)).await;
    server
        .send(goaway(reason::REFUSED).body("bad secret"))
        .await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::NotStarted)
    );
    assert!(error.to_string().contains("bad secret"), "{error}");
    let error = soon(channel.handshaken()).await.unwrap_err();
    assert_eq!(error.execution(), Execution::NotSent);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_opens_is_given_up() {
    let options = Options::new().handshake_timeout(Duration::from_secs(3));
    let (mut channel, mut server) = dial(options);
    let answer = channel.call(call("echo", "x"));
    server.expect_greeting().await;
    server.expect_request("echo").await;
    while server.message().await.kind != kind::GOAWAY {}
    server.expect_eof().await;
    let error = soon(answer).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
    assert!(error.to_string().contains("handshake_timeout"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_opens_is_told_why_it_is_let_go() {
    let (mut client, server) = serve(Options::new(), echo());
    client.expect_preface().await;
    let text = client.expect_goaway(reason::TIMEOUT).await;
    assert!(text.contains("handshake_timeout"), "{text}");
    client.expect_eof().await;
    server.ended().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn an_opening_may_take_as_long_as_handshake_timeout_and_no_longer() {
    let default = Duration::from_secs(10);
    for timeout in [default, Duration::from_secs(3), Duration::from_secs(25)] {
        let options = match timeout == default {
            true => Options::new(),
            false => Options::new().handshake_timeout(timeout),
        };
        for early in [true, false] {
            let (channel, mut server) = dial(options.clone());
            let (mut client, accepting) = serve(options.clone(), echo());
            server.expect_greeting().await;
            client.write(&magic(1, 1)).await;
            if early {
                sleep(timeout - Duration::from_millis(1)).await;
                server.greet().await;
                client.send(hello()).await;
                soon(channel.handshaken()).await.unwrap();
                soon(accepting.handshaken()).await.unwrap();
            } else {
                sleep(timeout + Duration::from_millis(5)).await;
                assert!(channel.is_closed() && accepting.is_closed());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_tells_when_the_other_side_has_opened() {
    let (channel, mut server) = dial(Options::new());
    let mut handshaken = tokio_test::task::spawn(channel.handshaken());
    settle().await;
    tokio_test::assert_pending!(handshaken.poll());
    server.greet().await;
    soon(handshaken).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_pings_before_the_connection_is_open() {
    let second = Duration::from_secs(1);
    let options = Options::new().keepalive(second).keepalive_timeout(second);
    let (mut client, server) = serve(options, echo());
    tokio::time::sleep(3 * second).await;
    let mut waits = tokio_test::task::spawn(server.ping());
    settle().await;
    tokio_test::assert_pending!(waits.poll());
    client.expect_silence().await;
    client.shake_hands().await;
    assert!(waits.is_woken());
    tokio_test::assert_pending!(waits.poll());
    client.expect(ping(1)).await;
    client.send(pong(1)).await;
    soon(waits).await.unwrap();
}
