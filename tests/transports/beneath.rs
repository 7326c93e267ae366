//! Hostile bytes that come straight to the port, beneath whatever lies on TCP: noise, and what a good client has said
//! before, cut off.

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::yield_now,
};
use tower::Service;

use crate::{
    conformance::{
        compressed_tcp, compressed_tls, deflated_tcp, mutual_tls, of_ones_own, tcp, tls,
    },
    on_the_wire::Heard,
    support::call,
    world::{World, soon},
};

/// A conversation has begun after so many bytes, with the handshake of TLS: many are cut off before that.
const BEGINNING: usize = 2000;

/// Strangers, one after the other.
const ROUNDS: usize = 90;

/// What no good client has said.
fn hostile(rng: &mut Rng, recording: &[u8], round: usize) -> Vec<u8> {
    match round % 3 {
        0 => {
            let mut noise = vec![0; rng.usize(1..10_000)];
            rng.fill(&mut noise);
            noise
        }
        1 => recording[..rng.usize(..BEGINNING.min(recording.len()))].to_vec(),
        _ => recording[..rng.usize(..recording.len())].to_vec(),
    }
}

async fn unharmed(world: World) {
    let mut rng = Rng::with_seed(7);
    let heard = Heard::over(&world).await;
    let mut good = world.connect().await;
    for round in 0..ROUNDS {
        let bytes = hostile(&mut rng, heard.of_client(), round);
        let mut stream = TcpStream::connect(world.port()).await.unwrap();
        // The server may be faster, and gone.
        let _ = soon(stream.write_all(&bytes)).await;
        if rng.bool() {
            let _ = soon(stream.shutdown()).await;
            let _ = soon(stream.read_to_end(&mut Vec::new())).await;
        }
        drop(stream);
        let answer = soon(good.call(call("echo", "still"))).await.unwrap();
        assert_eq!(answer.body().as_bytes(), "still");
    }
    let alone = async {
        while world.server.peers().len() > 1 {
            yield_now().await;
        }
    };
    soon(alone).await;
    let mut another = world.connect().await;
    soon(another.call(call("echo", "after"))).await.unwrap();
    soon(world.server.drain()).await;
    soon(good.closed()).await;
}

/// Over each transport.
macro_rules! over {
    ($($transport:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $transport() {
            super::unharmed(super::$transport().await).await;
        })*
    };
}

mod a_good_client_is_unharmed_over {
    over!(tcp tls mutual_tls compressed_tcp deflated_tcp compressed_tls of_ones_own);
}
