//! Connections compressed as a whole: what the two sides agree on, what it saves, and what it does not let in.

use std::{
    io::{self, Write},
    time::Duration,
};

use steeple::{
    Address, Channel, Client, Connector, Item, Server, ServerHandle,
    conn::Excess,
    transport::{
        Algorithm, Compressed, Compression, NetDialer, Opened, Wrapped,
        mem::{MemNetwork, MemStream},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tower::{Service, ServiceExt};

use crate::{
    counted::Counts,
    support::{call, echo, settle},
    world::{soon, told},
};

async fn serve(compression: Compression) -> ServerHandle {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.wrap(compression);
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    handle
}

async fn connect(server: &ServerHandle, compression: Compression) -> Channel {
    let connector = Connector::new().wrap(compression);
    soon(connector.connect(server.address())).await.unwrap()
}

async fn answers(channel: &mut Channel) {
    for body in ["", "x", "the same, the same, the same, the same"] {
        let answer = soon(channel.call(call("echo", body))).await.unwrap();
        assert_eq!(answer.body().as_bytes(), body);
    }
}

/// Both ends of a stream in memory, wrapped on each side.
async fn pair(
    client: Compression,
    server: Compression,
) -> (Compressed<MemStream>, Compressed<MemStream>) {
    pair_over(1 << 20, client, server).await
}

/// The same over a stream that takes so many bytes before they are read.
async fn pair_over(
    capacity: usize,
    client: Compression,
    server: Compression,
) -> (Compressed<MemStream>, Compressed<MemStream>) {
    let (near, far) = MemStream::pair(capacity);
    let address = || Address::Other("there".into());
    let dialled = Some("mem://there".parse().unwrap());
    let (near, far) = tokio::join!(
        client.oneshot(Opened::new(near, address(), dialled)),
        server.oneshot(Opened::new(far, address(), None)),
    );
    (near.unwrap().io, far.unwrap().io)
}

#[tokio::test]
async fn whatever_either_side_does_they_understand_each_other() {
    let sides = || {
        [
            Compression::off(),
            Compression::new(),
            Compression::new().sends(None),
            Compression::new().sends(Algorithm::Deflate),
            Compression::off().sends(Algorithm::Zstd),
        ]
    };
    for server in sides() {
        let server = serve(server).await;
        for client in sides() {
            answers(&mut connect(&server, client).await).await;
        }
        // One that knows nothing of it.
        answers(&mut soon(Channel::connect(server.address())).await.unwrap()).await;
    }
}

/// How many bytes a client writes and reads for a call with a body that compresses well.
async fn bytes_of_a_call(server: &ServerHandle, compression: Compression) -> [usize; 2] {
    let counts = Counts::default();
    let connector = Connector::new().wrap(counts.wrap()).wrap(compression);
    let mut channel = soon(connector.connect(server.address())).await.unwrap();
    let body = "the same again, ".repeat(1000);
    let answer = soon(channel.call(call("echo", body.clone())))
        .await
        .unwrap();
    assert_eq!(answer.body().as_bytes(), &body);
    [counts.written(), counts.read()]
}

#[tokio::test]
async fn a_connection_is_compressed_where_both_sides_want_it_and_plain_where_one_does_not() {
    for algorithm in [Algorithm::Zstd, Algorithm::Deflate] {
        let on = || Compression::new().sends(algorithm);
        let without = Server::bind("tcp://127.0.0.1:0").await.unwrap();
        let without = without.spawn(echo());
        let servers = [
            (serve(on()).await, true),
            (serve(Compression::off()).await, false),
            (without, false),
        ];
        for (server, does) in servers {
            for (client, wants) in [(on(), true), (Compression::off(), false)] {
                let bytes = bytes_of_a_call(&server, client).await;
                let compressed = bytes.map(|bytes| bytes < 1000);
                assert_eq!(
                    compressed,
                    [does && wants; 2],
                    "{algorithm:?} {does} {wants} {bytes:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn each_direction_is_compressed_by_itself() {
    let (full, mute) = (Compression::new(), Compression::new().sends(None));
    for (client, server, compressed) in [
        (&full, &full, [true, true]),
        (&mute, &full, [false, true]),
        (&full, &mute, [true, false]),
        (&mute, &mute, [false, false]),
    ] {
        let server = serve(server.clone()).await;
        let bytes = bytes_of_a_call(&server, client.clone()).await;
        assert_eq!(bytes.map(|bytes| bytes < 1000), compressed, "{bytes:?}");
        assert!(
            bytes.iter().all(|bytes| *bytes < 1000 || *bytes > 16_000),
            "{bytes:?}"
        );
    }
}

#[tokio::test]
async fn a_batch_is_written_and_flushed_once_beneath_the_compressor() {
    for algorithm in [Algorithm::Zstd, Algorithm::Deflate] {
        let compression = || Compression::new().sends(algorithm);
        let server = serve(compression()).await;
        let counts = Counts::default();
        let connector = Connector::new().wrap(counts.wrap()).wrap(compression());
        let channel = soon(connector.connect(server.address())).await.unwrap();
        soon(channel.handshaken()).await.unwrap();
        let client = Client::new(channel);
        let batch = client.batch();
        let items: Vec<Item<String>> = (0..500)
            .map(|at| batch.call("echo", format!("message {at}")).unwrap())
            .collect();
        let before = (counts.writes(), counts.flushes());
        soon(batch.run()).await.unwrap();
        let after = (counts.writes(), counts.flushes());
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{algorithm:?}");
        for (at, item) in items.into_iter().enumerate() {
            assert_eq!(item.take().unwrap(), format!("message {at}"));
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_says_why_to_a_client_that_would_compress() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server.max_connections(1, Excess::Refuse).spawn(echo());
    let mut first = soon(Channel::connect(server.address())).await.unwrap();
    answers(&mut first).await;
    let connector = Connector::new().wrap(Compression::new());
    let mut channel = soon(connector.connect(server.address())).await.unwrap();
    let error = soon(channel.call(call("echo", "x"))).await.unwrap_err();
    assert!(told(&error).contains("max_connections"), "{}", told(&error));
}

#[tokio::test]
async fn what_does_not_speak_steeple_is_told_to_the_client() {
    for (answer, why) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "does not speak steeple",
        ),
        (b"\x15\x03\x03\x00\x02\x02\x0A", "speaks TLS"),
        (b"", "closed the stream"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 8]).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        let connector = Connector::new().wrap(Compression::new());
        let error = soon(connector.connect(address)).await.unwrap_err();
        let told = told(&error);
        assert!(
            told.contains("does not do compression") && told.contains(why),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_message_that_resembles_the_last_one_costs_little() {
    for algorithm in [Algorithm::Zstd, Algorithm::Deflate] {
        let compression = || Compression::new().sends(algorithm);
        let (near, mut far) = MemStream::pair(1 << 20);
        let offered = Opened::new(
            near,
            Address::Other("x".into()),
            Some("mem://x".parse().unwrap()),
        );
        let number = match algorithm {
            Algorithm::Zstd => 1,
            _ => 2,
        };
        let (near, ()) = tokio::join!(compression().oneshot(offered), async {
            let mut offer = [0; 8];
            far.read_exact(&mut offer).await.unwrap();
            assert_eq!(offer, [0x9D, b'z', 0xF3, b'\r', b'\n', 1, number, 3]);
            far.write_all(&[0x9D, b'z', 0xF3, b'\r', b'\n', 1, number, 0])
                .await
                .unwrap();
        });
        let mut near = near.unwrap().io;
        let message = |at: u32| {
            format!("{{\"id\":{at},\"name\":\"somebody or other\",\"ok\":true}}").repeat(3)
        };
        let mut bytes = 0;
        for at in 0..100 {
            near.write_all(message(at).as_bytes()).await.unwrap();
            near.flush().await.unwrap();
            let mut some = [0; 1024];
            let read = far.read(&mut some).await.unwrap();
            // Each is there as soon as it was flushed.
            assert!(read > 0 && read < 1024);
            bytes += read;
        }
        assert!(bytes < 100 * message(0).len() / 4, "{algorithm:?}: {bytes}");
    }
}

#[tokio::test]
async fn zeros_are_sent_and_taken_however_well_they_compress() {
    for algorithm in [Algorithm::Zstd, Algorithm::Deflate] {
        let compression = || Compression::new().sends(algorithm);
        let (mut near, mut far) = pair(compression(), compression()).await;
        let writing = async {
            for len in [1, 4095, 4096, 65_535, 300_000]
                .into_iter()
                .cycle()
                .take(100)
            {
                near.write_all(&vec![0; len]).await.unwrap();
                near.flush().await.unwrap();
            }
            near.shutdown().await.unwrap();
        };
        let reading = async {
            let mut read = 0;
            let mut some = vec![1; 64 * 1024];
            loop {
                match far.read(&mut some).await.unwrap() {
                    0 => return read,
                    bytes => {
                        assert!(some[..bytes].iter().all(|byte| *byte == 0));
                        read += bytes;
                    }
                }
            }
        };
        let ((), read) = soon(async { tokio::join!(writing, reading) }).await;
        assert_eq!(read, 20 * (1 + 4095 + 4096 + 65_535 + 300_000));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_silence_both_sides_go_on() {
    for algorithm in [Algorithm::Zstd, Algorithm::Deflate] {
        let compression = || Compression::new().sends(algorithm);
        let (mut near, mut far) = pair(compression(), compression()).await;
        for at in 0..5 {
            let message = format!("{{\"at\":{at},\"what\":\"the same again\"}}").repeat(100);
            for _ in 0..2 {
                near.write_all(message.as_bytes()).await.unwrap();
                near.flush().await.unwrap();
                let mut read = vec![0; message.len()];
                soon(far.read_exact(&mut read)).await.unwrap();
                assert_eq!(read, message.as_bytes());
            }
            // Both wait for what comes, and meanwhile let go of what they can.
            let silence = async { tokio::join!(near.read_u8(), far.read_u8()) };
            let silence = timeout(Duration::from_secs(10), silence).await;
            assert!(silence.is_err(), "{silence:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_goes_on_where_a_reader_in_another_task_has_waited_in_its_place() {
    let mut noise = vec![0; 4000];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    let (near, mut far) = pair_over(64, Compression::new(), Compression::new()).await;
    let (mut reads, mut writes) = tokio::io::split(near);
    let sent = noise.clone();
    let writing = tokio::spawn(async move {
        writes.write_all(&sent).await?;
        writes.flush().await
    });
    settle().await;
    let reading = tokio::spawn(async move { reads.read_u8().await });
    // The compressor rests, and it is the reader's turns in which the other side is told.
    sleep(Duration::from_secs(10)).await;

    let mut read = vec![0; noise.len()];
    soon(far.read_exact(&mut read)).await.unwrap();
    assert!(read == noise);
    soon(writing).await.unwrap().unwrap();
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn who_has_ended_its_own_direction_hears_the_other_after_a_silence() {
    for algorithm in [Algorithm::Zstd, Algorithm::Deflate] {
        let compression = || Compression::new().sends(algorithm);
        let (mut near, mut far) = pair(compression(), compression()).await;
        near.write_all(b"bye").await.unwrap();
        near.shutdown().await.unwrap();
        let silence = timeout(Duration::from_secs(10), near.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        far.write_u8(7).await.unwrap();
        far.flush().await.unwrap();
        assert_eq!(soon(near.read_u8()).await.unwrap(), 7);
    }
}

/// What a server makes of this, compressed so, and how much of it.
async fn fed(algorithm: Algorithm, bytes: Vec<u8>) -> (usize, io::Error) {
    let (mut near, far) = MemStream::pair(1 << 20);
    let number = match algorithm {
        Algorithm::Zstd => 1,
        _ => 2,
    };
    let hello = [0x9D, b'z', 0xF3, b'\r', b'\n', 1, number, 0];
    near.write_all(&hello).await.unwrap();
    let offered = Opened::new(far, Address::Other("x".into()), None);
    let mut far = Compression::new().oneshot(offered).await.unwrap().io;
    let writing = tokio::spawn(async move {
        near.write_all(&bytes).await.unwrap();
        near
    });
    let mut read = 0;
    let mut some = vec![0; 64 * 1024];
    let error = loop {
        match soon(far.read(&mut some)).await {
            Ok(0) => panic!("the end, after {read} bytes"),
            Ok(bytes) => read += bytes,
            Err(error) => break error,
        }
    };
    drop(writing.await.unwrap());
    (read, error)
}

#[tokio::test]
async fn a_bomb_is_refused_by_the_ratio() {
    // 64 MiB in 2 KiB.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder
        .set_parameter(zstd::stream::raw::CParameter::WindowLog(15))
        .unwrap();
    encoder.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 16 * 1024, "{}", bomb.len());
    let (read, error) = fed(Algorithm::Zstd, bomb).await;
    assert!(
        error.to_string().contains("more than 2048 times"),
        "{error}"
    );
    assert!(read < 40 << 20, "{read}");
}

#[tokio::test]
async fn a_bomb_by_deflate_is_refused_although_it_is_as_dense_as_that_can_be() {
    let mut bomb = vec![0; 128 * 1024];
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let finish = flate2::FlushCompress::Finish;
    let end = compress.compress(&vec![0; 64 << 20], &mut bomb, finish);
    assert_eq!(end.unwrap(), flate2::Status::StreamEnd);
    bomb.truncate(compress.total_out() as usize);
    let (read, error) = fed(Algorithm::Deflate, bomb).await;
    assert!(error.to_string().contains("more than 512 times"), "{error}");
    assert!(read < 40 << 20, "{read}");
}

#[tokio::test]
async fn a_window_larger_than_agreed_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder
        .set_parameter(zstd::stream::raw::CParameter::WindowLog(27))
        .unwrap();
    encoder.write_all(&[7; 100]).unwrap();
    let (read, error) = fed(Algorithm::Zstd, encoder.finish().unwrap()).await;
    assert_eq!(read, 0);
    assert!(error.to_string().contains("broken"), "{error}");
}

#[tokio::test]
async fn what_is_not_compressed_where_it_should_be_is_told() {
    let (_, error) = fed(Algorithm::Zstd, b"this is no frame of zstd at all".to_vec()).await;
    assert!(
        error
            .to_string()
            .contains("the compressed stream is broken"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_sends_a_broken_stream_is_told_and_it_is_closed_in_order() {
    let network = MemNetwork::new(1);
    let server = Server::new(network.listen("server").unwrap());
    let _server = server.wrap(Compression::new()).spawn(echo());
    let mut stream = network.connect("client", "server").await.unwrap();
    let hello = [0x9D, b'z', 0xF3, b'\r', b'\n', 1, 1, 0];
    stream.write_all(&hello).await.unwrap();
    let mut answer = [0; 8];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, hello);
    // More than fits on the way: that all of it is taken and the end is read is no luck.
    let noise = b"this is no frame of zstd at all, ".repeat(30_000);
    soon(stream.write_all(&noise)).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut told = Vec::new();
    soon(stream.read_to_end(&mut told)).await.unwrap();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("the compressed stream is broken"), "{told}");
}

#[tokio::test]
async fn a_client_that_offers_another_version_is_served_in_plain() {
    let server = serve(Compression::new()).await;
    let address = server.address().to_string();
    let mut stream = TcpStream::connect(&address["tcp://".len()..])
        .await
        .unwrap();
    stream
        .write_all(&[0x9D, b'z', 0xF3, b'\r', b'\n', 9, 1, 1])
        .await
        .unwrap();
    let mut answer = [0; 8];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, [0x9D, b'z', 0xF3, b'\r', b'\n', 1, 0, 0]);
    answers(&mut Connector::new().connect_io(stream, None)).await;
}

#[tokio::test]
async fn it_may_lie_within_another_wrapper() {
    let server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    let server = server
        .wrap(crate::wrapping::mirrored())
        .wrap(Compression::new());
    let handle = server.handle();
    tokio::spawn(server.serve(echo()));
    let dialer = Wrapped::new(NetDialer::new(), crate::wrapping::mirrored());
    let connector = Connector::new().dialer(Wrapped::new(dialer, Compression::new()));
    answers(&mut soon(connector.connect(handle.address())).await.unwrap()).await;
}
