//! A connection compressed as a whole: what a thousand similar messages cost, plain and compressed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use steeple::{
    Body, Channel, Connector, Error, Request, Response, Server,
    transport::{Compression, Io, Opened, Wrap},
};
use tokio_util::io::InspectWriter;
use tower::{Service, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    // The server does as each client wants.
    let server = Server::bind("tcp://127.0.0.1:0")
        .await?
        .wrap(Compression::new());
    let handle = server.handle();
    tokio::spawn(server.serve(service_fn(|request: Request| async move {
        Ok::<_, Error>(Response::new(request.into_body()))
    })));

    let mut sent = [0, 0];
    for (sent, compression) in sent
        .iter_mut()
        .zip([Compression::off(), Compression::new()])
    {
        let bytes = Arc::new(AtomicUsize::new(0));
        // The first wrapper is next to the network, and counts what is left of the messages there.
        let connector = Connector::new()
            .wrap(counting(bytes.clone()))
            .wrap(compression);
        talk(connector.connect(handle.address()).await?).await?;
        *sent = bytes.load(Ordering::Relaxed);
    }
    let [plain, compressed] = sent;
    println!("bytes of a thousand requests: {plain} plain, {compressed} compressed");
    assert!(compressed * 3 < plain);

    handle.drain().await;
    Ok(())
}

async fn talk(mut channel: Channel) -> Result<(), Error> {
    for at in 0..1000 {
        let body = format!(r#"{{"user":{at},"name":"somebody","tags":["a","b"],"active":true}}"#);
        channel.call(Request::new("Echo", Body::from(body))).await?;
    }
    channel.drain().await;
    Ok(())
}

/// Counts what is written.
fn counting<I: Io>(
    bytes: Arc<AtomicUsize>,
) -> impl Wrap<I, Io = InspectWriter<I, impl FnMut(&[u8]) + Send + 'static>> {
    service_fn(move |stream: Opened<I>| {
        let bytes = bytes.clone();
        let count = move |written: &[u8]| {
            bytes.fetch_add(written.len(), Ordering::Relaxed);
        };
        let counted = stream.map(|io| InspectWriter::new(io, count));
        async move { Ok::<_, Error>(counted) }
    })
}
