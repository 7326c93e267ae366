//! How many bytes calls take on the wire: through a proxy in this process, which counts.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::spawn;
use crate::Error;
use crate::harness::probe::{Meter, Phase, Probe};
use crate::peers::Caller;
use crate::workload::Workload;

/// Messages before they repeat: more than a compressor's window holds.
const MESSAGES: usize = 4096;
/// Bytes that the proxy moves at once.
const CHUNK: usize = 64 * 1024;

/// Calls over a plain connection in the first phase, over one that compresses, if there is one, in the second.
pub(super) fn start<C: Caller>(
    plain: C,
    compressed: Option<C>,
    workload: Workload,
    probe: &'static Probe,
) -> Result<(), Error> {
    let messages = messages()?;
    for index in 0..workload.callers {
        let (plain, compressed, messages) = (plain.clone(), compressed.clone(), messages.clone());
        spawn(async move {
            let mut messages = messages.into_iter().cycle().skip(index);
            let meter = probe.meter(index);
            call(plain, &mut messages, &meter, || {
                probe.phase() == Phase::First
            })
            .await?;
            match compressed {
                Some(compressed) => call(compressed, &mut messages, &meter, || true).await,
                None => Ok(()),
            }
        });
    }
    Ok(())
}

/// Forwards every connection to the server and counts the bytes of both directions.
pub(super) async fn proxy(server: SocketAddr, probe: &'static Probe) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    spawn(async move {
        loop {
            let (near, _) = listener.accept().await?;
            let far = TcpStream::connect(server).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            spawn(forward(from_near, to_far, probe));
            spawn(forward(from_far, to_near, probe));
        }
    });
    Ok(addr)
}

async fn call<C: Caller>(
    mut caller: C,
    messages: &mut (impl Iterator<Item = Bytes> + Send),
    meter: &Meter,
    wanted: impl Fn() -> bool + Send,
) -> Result<(), Error> {
    for message in messages {
        if !wanted() {
            break;
        }
        caller.echo(&message).await?;
        meter.add(1);
    }
    Ok(())
}

/// What a service might say about its parcels: about 200 bytes, the same in every run.
fn messages() -> Result<Vec<Bytes>, Error> {
    #[derive(Serialize)]
    struct Parcel<'a> {
        id: u64,
        status: &'a str,
        carrier: &'a str,
        from: &'a str,
        to: &'a str,
        grams: u64,
        tracking: String,
        updated_ms: u64,
        fragile: bool,
        note: &'a str,
    }
    const STATUS: [&str; 4] = ["received", "in transit", "out for delivery", "delivered"];
    const PLACE: [&str; 5] = ["Rotterdam", "Wien", "København", "Lyon", "Gdańsk"];
    const NOTE: [&str; 3] = ["leave with the neighbours", "ring twice", ""];
    // The multiplier of Knuth's MMIX, whose upper bits are random enough here.
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut message = || {
        Ok(Bytes::from(serde_json::to_vec(&Parcel {
            id: random(1 << 31) as u64,
            status: STATUS[random(STATUS.len())],
            carrier: "Havenstoomvaart",
            from: PLACE[random(PLACE.len())],
            to: PLACE[random(PLACE.len())],
            grams: random(20_000) as u64,
            tracking: format!("{:08X}-{:08X}", random(1 << 31), random(1 << 31)),
            updated_ms: 1_700_000_000_000 + random(1 << 31) as u64,
            fragile: random(2) == 1,
            note: NOTE[random(NOTE.len())],
        })?))
    };
    (0..MESSAGES).map(|_| message()).collect()
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    probe: &Probe,
) -> Result<(), Error> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        probe.count_bytes(read);
        to.write_all(&chunk[..read]).await?;
    }
}
