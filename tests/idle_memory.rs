//! What a connection holds that has fallen silent, by the memory that the system counts for this process.
#![cfg(target_os = "linux")]

use std::{env, fs, process::Command, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use steeple::{
    Channel, Connector, Endpoint, Error, Request, Response, Server,
    transport::{
        Algorithm, Compression, Dial, Listener, NetDialer, NetListener, TlsClient, TlsIdentity,
        TlsServer, Wrapped,
    },
};
use tokio_rustls::rustls::RootCertStore;
use tower::{Service, service_fn};

/// Enough that what the process holds once does not count.
const CONNECTIONS: usize = 200;

/// Who waits for this long, holds on to it.
const LONG: Duration = Duration::from_secs(60);

/// KiB that this process has in memory.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Connects often, calls once on each, and waits until one holds `limit` KiB at most on either side. The connections
/// are given back: what they would leave behind, the next ones could live in.
async fn falls_below<L: Listener, D: Dial + Clone + Sync>(
    listener: L,
    dialer: D,
    limit: usize,
) -> Vec<Channel> {
    let address = Endpoint::try_from(&listener.local_address()).unwrap();
    Server::new(listener).spawn(service_fn(|request: Request| async move {
        Ok::<_, Error>(Response::new(request.into_body()))
    }));
    let connector = Connector::new().dialer(dialer);
    let connect = async || -> Channel {
        let mut channel = connector.connect(&address).await.unwrap();
        for at in 0..8 {
            let body = (0..200)
                .map(|id| format!("{{\"at\":{at},\"id\":{},\"name\":\"somebody\"}}", id * 7919));
            let body: String = body.collect();
            channel
                .call(Request::new("Echo", body.into()))
                .await
                .unwrap();
        }
        channel
    };
    let mut channels = vec![connect().await];
    let before = resident();
    for _ in 0..CONNECTIONS {
        channels.push(connect().await);
    }
    let each = || resident().saturating_sub(before) / CONNECTIONS / 2;
    let fallen = async {
        while each() > limit {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let fallen = tokio::time::timeout(LONG, fallen).await;
    assert!(
        fallen.is_ok(),
        "{} KiB on each side, and not {limit}",
        each()
    );
    channels
}

/// Has the allocator give large blocks back at once. What it keeps for whoever comes next is nobody's.
const KEEP_NOTHING: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "32768"),
    ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=32768"),
];

/// The allocator listens when a process begins.
#[test]
fn what_an_idle_connection_holds_is_bounded() {
    if env::var_os(KEEP_NOTHING[0].0).is_some() {
        return measure();
    }
    let this = env::current_exe().unwrap();
    let child = Command::new(this).envs(KEEP_NOTHING).output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

/// One after the other: they count the memory of all.
#[tokio::main(flavor = "current_thread")]
async fn measure() {
    let tcp = async || {
        NetListener::bind(&"tcp://127.0.0.1:0".parse().unwrap())
            .await
            .unwrap()
    };
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let identity = TlsIdentity::from_pem(certificate.pem(), key.serialize_pem()).unwrap();
    let tls = TlsServer::new(identity).unwrap();
    let tls = tls.bind("tls://127.0.0.1:0").await.unwrap();
    let dialer = NetDialer::new().tls(TlsClient::new(roots));
    let mut kept = falls_below(tls, dialer, 40).await;

    for algorithm in [Algorithm::Deflate, Algorithm::Zstd] {
        let compression = Compression::new().sends(algorithm);
        let listener = Wrapped::new(tcp().await, compression.clone());
        let dialer = Wrapped::new(NetDialer::new(), compression);
        kept.extend(falls_below(listener, dialer, 120).await);
    }
}
