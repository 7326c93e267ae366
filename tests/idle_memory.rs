//! What a connection holds that has fallen silent, by the memory that the system counts for this process.
#![cfg(target_os = "linux")]

use std::{env, fs, io, process::Command, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use steeple::{
    Address, Channel, Connector, Endpoint, Error, Request, Response, Server,
    transport::{
        Algorithm, Compression, Dial, Listener, NetDialer, NetListener, TlsClient, TlsIdentity,
        TlsServer, Wrapped,
    },
};
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_rustls::rustls::RootCertStore;
use tower::{Service, service_fn};

/// Enough that what the process holds once does not count.
const CONNECTIONS: usize = 200;

/// Who waits for this long, holds on to it.
const LONG: Duration = Duration::from_secs(60);

/// KiB that one holds at most on either side while a ping has woken it.
const AWAKE: usize = 200;

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

/// Connections on which nothing is said any more. They are kept: what they would leave behind, the next ones could live
/// in.
struct Idle {
    channels: Vec<Channel>,
    /// What was resident before there were more than one.
    before: usize,
}

impl Idle {
    /// Connects often, and calls some times on each.
    async fn over<L: Listener, D: Dial + Clone + Sync>(
        endpoint: Endpoint,
        listener: L,
        dialer: D,
    ) -> Self {
        Server::new(listener).spawn(service_fn(|request: Request| async move {
            Ok::<_, Error>(Response::new(request.into_body()))
        }));
        let connector = Connector::new().dialer(dialer);
        let connect = async || -> Channel {
            let mut channel = connector.connect(&endpoint).await.unwrap();
            for at in 0..8 {
                let body = (0..200).map(|id| {
                    format!("{{\"at\":{at},\"id\":{},\"name\":\"somebody\"}}", id * 7919)
                });
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
        Self { channels, before }
    }

    /// KiB that one holds on either side.
    fn each(&self) -> usize {
        resident().saturating_sub(self.before) / CONNECTIONS / 2
    }

    /// Waits until one holds so many KiB at most.
    async fn falls_below(self, limit: usize) -> Self {
        let fallen = async {
            while self.each() > limit {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let fallen = tokio::time::timeout(LONG, fallen).await;
        let each = self.each();
        assert!(fallen.is_ok(), "{each} KiB on each side, and not {limit}");
        self
    }

    /// Waits until each side has been asked whether it is there, and a little.
    async fn stays_below_after_pings(self, limit: usize) -> Self {
        let written = |channel: &Channel| channel.stats().bytes_written;
        let before: Vec<u64> = self.channels.iter().map(written).collect();
        // The default is a ping after 30 s of silence; and zstd needs four to rest.
        for _ in 0..65 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let each = self.each();
            assert!(each <= AWAKE, "{each} KiB on each side, and not {AWAKE}");
        }
        let now = self.channels.iter().map(written);
        assert!(now.zip(before).all(|(now, before)| now > before));
        let each = self.each();
        assert!(each <= limit, "{each} KiB on each side, and not {limit}");
        self
    }
}

/// Has the allocator give large blocks back at once. What it keeps for whoever comes next is nobody's.
const KEEP_NOTHING: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "32768"),
    ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=32768"),
];

/// The allocator listens when a process begins, and the memory of a process is that of all in it. So this test is run in
/// one of its own. Whether this is that one.
fn is_alone(test: &str) -> bool {
    if env::var_os(KEEP_NOTHING[0].0).is_some() {
        return true;
    }
    let this = env::current_exe().unwrap();
    let mut child = Command::new(this);
    let child = child.args(["--exact", test]).envs(KEEP_NOTHING).output();
    let child = child.unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// TLS on both sides.
fn tls() -> (TlsServer, TlsClient) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let identity = TlsIdentity::from_pem(certificate.pem(), key.serialize_pem()).unwrap();
    let client = TlsClient::new(roots).server_name("127.0.0.1");
    (TlsServer::new(identity).unwrap(), client.unwrap())
}

/// Streams that take no time, so that the clock can be paused.
fn handed_over() -> (
    Endpoint,
    HandedOver,
    impl Dial<Io = DuplexStream> + Clone + Sync,
) {
    let (hand_over, handed_over) = mpsc::channel(1);
    let dialer = service_fn(move |_: Endpoint| {
        let hand_over = hand_over.clone();
        async move {
            let (near, far) = tokio::io::duplex(1024);
            hand_over.send(far).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((near, Address::Other("inside".into())))
        }
    });
    (
        "mem://inside".parse().unwrap(),
        HandedOver(handed_over),
        dialer,
    )
}

struct HandedOver(mpsc::Receiver<DuplexStream>);

impl Listener for HandedOver {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Address)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((stream, Address::Other("a client".into())))
    }

    fn local_address(&self) -> Address {
        Address::Other("inside".into())
    }
}

#[test]
fn what_an_idle_connection_holds_is_bounded() {
    if is_alone("what_an_idle_connection_holds_is_bounded") {
        measure();
    }
}

/// One after the other: they count the memory of all.
#[tokio::main(flavor = "current_thread")]
async fn measure() {
    let (server, client) = tls();
    let listener = server.bind("tls://127.0.0.1:0").await.unwrap();
    let dialer = NetDialer::new().tls(client);
    let endpoint = Endpoint::try_from(&listener.local_address()).unwrap();
    let idle = Idle::over(endpoint, listener, dialer).await;
    let mut kept = vec![idle.falls_below(40).await];

    for algorithm in [Algorithm::Deflate, Algorithm::Zstd] {
        let compression = Compression::new().sends(algorithm);
        let listener = NetListener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await;
        let listener = Wrapped::new(listener.unwrap(), compression.clone());
        let dialer = Wrapped::new(NetDialer::new(), compression);
        let endpoint = Endpoint::try_from(&listener.local_address()).unwrap();
        let idle = Idle::over(endpoint, listener, dialer).await;
        kept.push(idle.falls_below(120).await);
    }
}

#[test]
fn what_an_idle_connection_holds_is_bounded_after_pings() {
    if is_alone("what_an_idle_connection_holds_is_bounded_after_pings") {
        measure_after_pings();
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn measure_after_pings() {
    let (server, client) = tls();
    let (endpoint, listener, dialer) = handed_over();
    let (listener, dialer) = (Wrapped::new(listener, server), Wrapped::new(dialer, client));
    let idle = Idle::over(endpoint, listener, dialer).await;
    let mut kept = vec![idle.stays_below_after_pings(40).await];

    for algorithm in [Algorithm::Deflate, Algorithm::Zstd] {
        let compression = Compression::new().sends(algorithm);
        let (endpoint, listener, dialer) = handed_over();
        let listener = Wrapped::new(listener, compression.clone());
        let dialer = Wrapped::new(dialer, compression);
        let idle = Idle::over(endpoint, listener, dialer).await;
        kept.push(idle.stays_below_after_pings(120).await);
    }
}
