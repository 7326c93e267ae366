//! What is set on every TCP stream.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What is set on a TCP stream before its first byte, on either side.
///
/// | option | default | why |
/// |---|---|---|
/// | [`nodelay`](Self::nodelay) | on | a connection already joins its messages; Nagle would only hold back the last |
/// | [`keepalive`](Self::keepalive) | 30 s | a peer that vanished is found even if nothing is ever written |
/// | [`backlog`](Self::backlog) | 1024 | clients that wait to be accepted; the system may allow fewer |
/// | [`reuse_port`](Self::reuse_port) | off | several listeners, of several processes too, may share a port |
/// | [`notsent_lowat`](Self::notsent_lowat) | 128 KiB | a large message does not fill the kernel's buffer ahead of small ones |
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings do nothing until given to a dialler or listener"]
pub struct TcpOptions {
    nodelay: bool,
    keepalive: Option<Duration>,
    notsent_lowat: Option<u32>,
    backlog: u32,
    reuse_port: bool,
}

impl TcpOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether each write leaves at once (`TCP_NODELAY`).
    pub fn nodelay(mut self, on: bool) -> Self {
        self.nodelay = on;
        self
    }

    /// How long a stream is idle before the kernel probes the peer, and how long it waits between probes
    /// (`SO_KEEPALIVE`); whole seconds, at least one. `None` probes never.
    pub fn keepalive(mut self, every: impl Into<Option<Duration>>) -> Self {
        self.keepalive = every.into();
        self
    }

    /// How many bytes may wait unsent in the kernel before a stream is no longer writable
    /// (`TCP_NOTSENT_LOWAT`). `None` leaves it to the system.
    ///
    /// Linux and Android only. Elsewhere it is without effect, on macOS too, which has the option, but no safe call for it
    /// that this crate could make: there small messages wait behind as much of a large one as the kernel's buffer holds.
    pub fn notsent_lowat(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.notsent_lowat = bytes.into();
        self
    }

    /// How many clients may wait to be accepted, give or take one; the connects of others wait, or are refused, as the
    /// system has it. Set when a listener is [bound](super::TcpListener::bind_with).
    pub fn backlog(mut self, clients: u32) -> Self {
        self.backlog = clients;
        self
    }

    /// Whether others of the same user may listen on the same port, and the kernel spreads the clients over them
    /// (`SO_REUSEPORT`); without effect where the system does not have it. Set when a listener is
    /// [bound](super::TcpListener::bind_with).
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// Binds a socket and listens.
    pub(super) fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // A restarted server gets its port although old connections linger. On Windows it means something else.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        #[cfg(all(
            unix,
            not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))
        ))]
        if self.reuse_port {
            socket.set_reuseport(true)?;
        }
        socket.bind(address)?;
        socket.listen(self.backlog)
    }

    pub(super) fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(every) = self.keepalive {
            socket.set_tcp_keepalive(&probes(every))?;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(bytes) = self.notsent_lowat {
            socket.set_tcp_notsent_lowat(bytes)?;
        }
        Ok(())
    }
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: Some(Duration::from_secs(30)),
            notsent_lowat: Some(128 * 1024),
            backlog: 1024,
            reuse_port: false,
        }
    }
}

fn probes(every: Duration) -> TcpKeepalive {
    // The kernel counts seconds and refuses none.
    let every = every.max(Duration::from_secs(1));
    let probes = TcpKeepalive::new().with_time(every);
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "windows"
    ))]
    let probes = probes.with_interval(every);
    probes
}
