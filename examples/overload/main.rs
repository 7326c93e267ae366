//! A server that is asked for ten times what it can do: once with a plain queue in front of its handlers, and once with
//! an admission. In the queue a call waits until it is of no use to its caller, and is served then. Admission serves as
//! many in time as can be, and tells the others at once.
//!
//! It measures on this machine, and draws `target/overload.svg`, or the file that it is given:
//! `cargo run --release --example overload -- overload.svg`
//!
//! Built with `--release`, it fails where admission does not do what it is for.

mod load;
mod plot;
mod witness;

use std::{env, error::Error as StdError, fs, sync::Arc, time::Duration};

use steeple::{
    Body, Channel, Error, Request, Response, RpcService, Server,
    layers::{AdmissionLayer, ConcurrencyLimitLayer, admission::Limit},
};
use tokio::{sync::Semaphore, time::sleep};
use tower::{ServiceBuilder, service_fn};

use self::{
    load::{Load, Measured, Times},
    witness::Witness,
};

/// What the handlers share: connections of a pool, say.
const WORKERS: usize = 8;

/// How long a caller waits.
const DEADLINE: Duration = Duration::from_millis(50);

/// How much is asked for, as a multiple of what can be done.
const LOADS: [u32; 4] = [1, 2, 5, 10];

/// What part of the most that was done in time, in percent, is done under each load at least. A machine that does nothing
/// else shows more than nine tenths; this one may be somebody's who builds.
const LEAST: u32 = 70;

/// How long, and how long a light load lasts that comes after it.
const STAGE: Duration = Duration::from_millis(2000);
const LIGHT: Duration = Duration::from_millis(300);

const CONNECTIONS: usize = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError + Send + Sync>> {
    let capacity = capacity().await?;
    println!("{WORKERS} workers serve {capacity} calls/s; callers wait for {DEADLINE:?}");

    println!("\na queue: ConcurrencyLimitLayer::new({WORKERS})");
    let queue = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(WORKERS))
        .service(handlers());
    let queue = measure(queue, &Witness::default(), capacity).await?;

    println!("\nadmission: AdmissionLayer::new(Limit::fixed({WORKERS}))");
    let layer = AdmissionLayer::new(Limit::fixed(WORKERS));
    let admission = ServiceBuilder::new()
        .layer(layer.clone())
        .service(handlers());
    let witness = Witness::default();
    let admission = measure(witness.watch(admission), &witness, capacity).await?;
    println!("{:?}", layer.stats());

    let path = env::args().nth(1);
    let path = path.unwrap_or_else(|| "target/overload.svg".to_owned());
    fs::write(&path, plot::svg(capacity, &queue, &admission))?;
    println!("\n{path} shows it");
    if cfg!(debug_assertions) {
        // Whoever calls so often takes more of this machine then than is left for the answers.
        println!("it is not judged without --release");
        return Ok(());
    }
    judge(&admission).map_err(Into::into)
}

/// Handlers that need one of the workers for one or two milliseconds.
fn handlers() -> impl RpcService<Error = Error> + Clone + Send + 'static {
    let workers = Arc::new(Semaphore::new(WORKERS));
    service_fn(move |_: Request| {
        let workers = workers.clone();
        async move {
            let _worker = workers.acquire_owned().await;
            sleep(Duration::from_micros(fastrand::u64(1000..2000))).await;
            Ok::<_, Error>(Response::new(Body::from("done")))
        }
    })
}

/// How many calls the workers serve in a second.
async fn capacity() -> Result<u32, Error> {
    let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(handlers());
    let channel = Channel::connect(server.address()).await?;
    let served = load::served_in_a_second(&channel, 4 * WORKERS).await;
    server.close().await;
    Ok(served)
}

/// Puts each load on a server of this service, and tells what came of it.
async fn measure(
    service: impl RpcService + Clone + Send + 'static,
    witness: &Witness,
    capacity: u32,
) -> Result<Vec<(u32, Measured)>, Error> {
    let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(service);
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(Channel::connect(server.address()).await?);
    }
    let held = || server.stats().handling;
    println!(
        "{:>5} {:>9} {:>10} {:>6} {:>10} {:>11} {:>17} {:>17} {:>6} {:>9}",
        "load",
        "calls/s",
        "in time/s",
        "",
        "refused/s",
        "given up/s",
        "refused after",
        "and then told",
        "held",
        "recovery"
    );
    let mut rows = Vec::new();
    for load in LOADS {
        let heavy = Load::new(capacity * load, STAGE, DEADLINE);
        let measured = heavy.put_on(&channels, witness, held).await;
        let light = Load::new(capacity / 2, LIGHT, DEADLINE);
        let recovery = light.put_on(&channels, witness, held).await.last_failure;
        println!(
            "{load:>4}× {:>9} {:>10} {:>4} % {:>10} {:>11} {:>17} {:>17} {:>6} {recovery:>9.0?}",
            capacity * load,
            measured.in_time,
            measured.in_time * 100 / capacity,
            measured.refused,
            measured.given_up,
            shown(&measured.refused_after),
            shown(&measured.told_after),
            measured.held,
        );
        rows.push((load, measured));
    }
    server.close().await;
    Ok(rows)
}

/// What is wrong with what came of the loads, if anything is.
fn judge(rows: &[(u32, Measured)]) -> Result<(), String> {
    let most = rows.iter().map(|(_, row)| row.in_time).max();
    let least = most.unwrap_or_default() * LEAST / 100;
    for (load, row) in rows {
        if row.in_time < least {
            let in_time = row.in_time;
            return Err(format!(
                "{in_time} calls/s in time at {load}×, and not {least}"
            ));
        }
        if row.in_doubt > 0 {
            let in_doubt = row.in_doubt;
            return Err(format!(
                "{in_doubt} refused at {load}× that may have been executed"
            ));
        }
    }
    Ok(())
}

/// The median, and what one of a hundred is longer than.
fn shown(times: &Times) -> String {
    format!("{:.1?} {:.1?}", times.percent(50), times.percent(99))
}
