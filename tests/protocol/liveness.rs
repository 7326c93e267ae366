//! How a peer that is gone, stuck or slow is found.

use std::time::Duration;

use steeple::{
    Body, Connector, Error, Execution, Kind, Options, Request, Response, Server,
    conn::Builder,
    transport::{Listener, mem::MemNetwork},
    wire::{
        Role,
        numbers::{kind, reason},
    },
};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt, service_fn};

use crate::support::{
    Probe, call, dial, echo, goaway, ping, pong, request, response, serve, settle, soon,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_with_its_nonce() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client.send(ping(0xABCD)).await;
    client.expect(pong(0xABCD)).await;
}

#[tokio::test(start_paused = true)]
async fn pings_that_come_together_are_each_answered() {
    let (mut client, _server) = serve(Options::new(), echo());
    client.shake_hands().await;
    client.send_all([ping(1), ping(2), ping(3)]).await;
    for nonce in [1, 2, 3] {
        client.expect(pong(nonce)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_none_of_its_pongs_is_disconnected() {
    let options = Options::new().keepalive(None).write_stall(None);
    let (mut client, server) = serve(options, echo());
    client.shake_hands().await;
    let batch: Vec<u8> = (0..900).flat_map(|n| ping(n).encode()).collect();
    let mut batches = 0;
    while client.try_write(&batch).await {
        sleep(2 * SECOND).await;
        batches += 1;
        assert!(batches < 1000, "pongs pile up without a bound");
    }
    let error = server.ended().await.unwrap_err();
    assert!(error.to_string().contains("pings"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_user_may_measure_the_round_trip() {
    let (channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let mut waiting = tokio_test::task::spawn(channel.ping());
    tokio_test::assert_pending!(waiting.poll());
    let nonce = server.message().await.aux;
    sleep(3 * SECOND).await;
    server
        .send_all([pong(nonce.wrapping_add(9)), pong(nonce)])
        .await;
    assert!(soon(waiting).await.unwrap() >= 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn pings_that_wait_are_bounded_and_fail_with_the_connection() {
    let (channel, mut server) = dial(Options::new().keepalive(None));
    server.shake_hands().await;
    let mut waiting: Vec<_> = (0..64)
        .map(|_| tokio_test::task::spawn(channel.ping()))
        .collect();
    for ping in &mut waiting {
        tokio_test::assert_pending!(ping.poll());
    }
    let error = soon(channel.ping()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Overflow);
    waiting.pop();
    waiting.push(tokio_test::task::spawn(channel.ping()));
    tokio_test::assert_pending!(waiting[63].poll());
    channel.close();
    for ping in waiting {
        assert_eq!(soon(ping).await.unwrap_err().kind(), Kind::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_about_and_an_answer_is_enough() {
    let (channel, mut server) = dial(
        Options::new()
            .keepalive(10 * SECOND)
            .keepalive_timeout(5 * SECOND),
    );
    server.shake_hands().await;
    for _ in 0..5 {
        let asked = server.message().await;
        assert_eq!(asked.kind, kind::PING);
        sleep(4 * SECOND).await;
        server.send(pong(asked.aux)).await;
    }
    assert!(!channel.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_half_open_peer_is_found_and_its_calls_fail_then() {
    let network = MemNetwork::new(3);
    let mut listener = network.listen("server").unwrap();
    let near = network.connect("client", "server").await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let options = Options::new()
        .keepalive(10 * SECOND)
        .keepalive_timeout(5 * SECOND)
        .write_stall(None);
    let mut channel = Connector::new().options(options).connect_io(near, None);
    let (_, server) = Builder::new(Role::Acceptor).build(far, Probe::default().service());
    tokio::spawn(server);
    soon(channel.call(call("echo", ""))).await.unwrap();

    network.link("client", "server").swallow();
    let begun = Instant::now();
    let error = soon(channel.call(call("echo", ""))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
    assert!(error.to_string().contains("ping"), "{error}");
    let took = Instant::now() - begun;
    assert!((14 * SECOND..16 * SECOND).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_heals_in_time_does_no_harm() {
    let network = MemNetwork::new(3);
    let mut listener = network.listen("server").unwrap();
    let near = network.connect("client", "server").await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let options = Options::new()
        .keepalive(10 * SECOND)
        .keepalive_timeout(5 * SECOND);
    let mut channel = Connector::new().options(options).connect_io(near, None);
    let (_, server) = Builder::new(Role::Acceptor).build(far, Probe::default().service());
    tokio::spawn(server);
    soon(channel.call(call("echo", ""))).await.unwrap();
    network.link("client", "server").partition();
    let answer = channel.call(call("echo", "x"));
    sleep(13 * SECOND).await;
    network.link("client", "server").heal();
    assert_eq!(soon(answer).await.unwrap().body().as_bytes(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_but_no_calls_is_found_if_wanted() {
    let options = Options::new()
        .keepalive(SECOND)
        .keepalive_timeout(SECOND)
        .unanswered_limit(10 * SECOND);
    let (mut channel, mut server) = dial(options);
    server.shake_hands().await;
    let playing = tokio::spawn(async move {
        while let Some(frame) = server.next().await {
            if frame.kind == kind::PING {
                server.send(pong(frame.aux)).await;
            }
        }
    });
    sleep(60 * SECOND).await;
    assert!(!channel.is_closed(), "an idle connection owes no answer");
    let error = soon(channel.call(call("echo", ""))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection);
    assert!(error.to_string().contains("unanswered_limit"), "{error}");
    soon(playing).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_given_up_are_unanswered_all_the_same() {
    let options = Options::new().keepalive(None).unanswered_limit(10 * SECOND);
    let (mut channel, mut server) = dial(options);
    server.shake_hands().await;
    for _ in 0..10 {
        let request = call("echo", "").with_timeout(SECOND);
        let error = soon(channel.call(request)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout);
    }
    soon(channel.closed()).await;
    let error = channel.call(call("echo", "")).await.unwrap_err();
    assert!(error.to_string().contains("unanswered_limit"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_legitimate_while_others_are_answered() {
    let (mut channel, mut server) = dial(Options::new().unanswered_limit(10 * SECOND));
    server.shake_hands().await;
    let slow = channel.call(call("slow", ""));
    let slow_id = server.expect_request("slow").await.id;
    for _ in 0..10 {
        let quick = channel.call(call("quick", ""));
        let id = server.expect_request("quick").await.id;
        sleep(6 * SECOND).await;
        server.send(response(id)).await;
        soon(quick).await.unwrap();
    }
    server.send(response(slow_id)).await;
    soon(slow).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_let_go_after_read_idle() {
    let (mut client, server) = serve(Options::new().read_idle(5 * SECOND).keepalive(None), echo());
    client.shake_hands().await;
    sleep(4 * SECOND).await;
    client.send(request(2, "echo")).await;
    client.expect(response(2)).await;
    sleep(4 * SECOND).await;
    assert!(!server.is_closed());
    let text = client.expect_goaway(reason::IDLE).await;
    assert!(text.contains("read_idle"), "{text}");
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_peer_that_ends_for_silence_fails_and_is_in_doubt() {
    let (mut channel, mut server) = dial(Options::new());
    server.shake_hands().await;
    let waiting = tokio::spawn(channel.call(call("echo", "")));
    server.expect_request("echo").await;
    server.send(goaway(reason::IDLE)).await;
    let error = soon(waiting).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::MaybeExecuted)
    );
    assert!(error.to_string().contains("Idle"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_output_is_let_go_after_write_stall() {
    let options = Options::new().write_stall(5 * SECOND).keepalive(None);
    let (mut channel, mut server) = dial(options);
    server.shake_hands().await;
    let begun = Instant::now();
    let error = soon(channel.call(call("echo", vec![0; 1_000_000])))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.execution()),
        (Kind::Connection, Execution::NotSent)
    );
    assert!(error.to_string().contains("write_stall"), "{error}");
    assert!(Instant::now() - begun >= 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_output_slowly_is_kept() {
    let (mut channel, mut server) = dial(Options::new().write_stall(5 * SECOND).keepalive(None));
    server.shake_hands().await;
    let answers: Vec<_> = (0..8)
        .map(|_| channel.call(call("echo", vec![0; 60_000])))
        .collect();
    for _ in 0..7 {
        sleep(4 * SECOND).await;
        server.take(60_000).await;
    }
    assert!(!channel.is_closed());
    drop(answers);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_drips_is_given_its_time_and_no_more() {
    let options = Options::new().frame_timeout(10 * SECOND).keepalive(None);
    let (mut client, server) = serve(options, echo());
    client.shake_hands().await;
    let bytes = request(2, "echo").body([0; 100]).encode();
    for byte in &bytes[..9] {
        client.write(&[*byte]).await;
        sleep(SECOND).await;
    }
    assert!(!server.is_closed());
    let text = client.expect_goaway(reason::TIMEOUT).await;
    assert!(text.contains("frame_timeout"), "{text}");
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_marks_are_answered_behind_a_long_download_is_given_its_time() {
    let frame_timeout = 2 * SECOND;
    let network = MemNetwork::new(1);
    let options = Options::new().frame_timeout(frame_timeout);
    let server = Server::new(network.listen("server").unwrap()).options(options);
    tokio::spawn(server.serve(service_fn(|request: Request| async move {
        let long = request.method() == "download";
        let len = if long { 60_000 } else { 1 };
        Ok::<_, Error>(Response::new(Body::from(vec![0; len])))
    })));
    // A megabyte a second.
    network
        .one_way("server", "client")
        .bandwidth(1000, Duration::from_millis(1));
    let connector = Connector::new().dialer(network.dialer("client"));
    let endpoint = "mem://server".parse().unwrap();
    let mut channel = soon(connector.oneshot(endpoint)).await.unwrap();
    soon(channel.handshaken()).await.unwrap();
    let begun = Instant::now();
    let downloads: Vec<_> = (0..100)
        .map(|_| channel.call(call("download", "")))
        .collect();
    sleep(Duration::from_millis(5)).await;
    let upload = channel.call(call("upload", vec![7; 1_000_000]));
    soon(upload).await.unwrap();
    assert!(
        begun.elapsed() > 2 * frame_timeout,
        "nothing was waited for"
    );
    for download in downloads {
        soon(download).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_gives_its_memory_back_and_works_on() {
    let options = Options::new()
        .keepalive(SECOND)
        .keepalive_timeout(60 * SECOND)
        .write_buffer(1)
        .write_stall(None)
        .max_calls(2);
    let (mut channel, mut server) = dial(options);
    server.shake_hands().await;
    // The stream is full, so a message without an answer stays in the output and a call stays pending.
    let mut note = call("note", vec![0; 60_000]);
    note.cx_mut().set_one_way(true);
    for _ in 0..2 {
        soon(channel.call(note.clone())).await.unwrap();
        settle().await;
    }
    soon(channel.call(note.clone())).await.unwrap();
    drop(channel.call(call("echo", "pending, then dropped")));
    sleep(5 * SECOND).await;
    let mut notes = 0;
    while notes < 3 {
        notes += usize::from(server.message().await.kind == kind::ONEWAY);
    }
    let answer = channel.call(call("echo", "x"));
    let id = loop {
        let frame = server.message().await;
        if frame.kind == kind::REQUEST {
            break frame.id;
        }
    };
    server.send(response(id)).await;
    soon(answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_drips_is_never_silent_and_is_let_go_for_its_frame() {
    let options = Options::new()
        .read_idle(5 * SECOND)
        .frame_timeout(20 * SECOND)
        .keepalive(None);
    let (mut client, server) = serve(options.clone(), echo());
    let (mut other, other_server) = serve(options, echo());
    client.shake_hands().await;
    other.shake_hands().await;
    let begun = Instant::now();
    let bytes = request(2, "echo").body([0; 1000]).encode();
    let mut dripped = 0;
    for byte in bytes {
        if !client.try_write(&[byte]).await || server.is_closed() {
            break;
        }
        dripped += 1;
        // Another on the same thread does not notice.
        other.send(request(2 * dripped, "echo").body("x")).await;
        other.expect(response(2 * dripped).body("x")).await;
        sleep(SECOND).await;
    }
    assert!(begun.elapsed() <= 22 * SECOND, "{:?}", begun.elapsed());
    assert!(dripped > 5, "silence is not what it was let go for");
    let text = client.expect_goaway(reason::TIMEOUT).await;
    assert!(text.contains("frame_timeout"), "{text}");
    client.expect_eof().await;
    assert!(!other_server.is_closed());
}
