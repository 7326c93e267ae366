//! What is set on every TCP stream.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// What is set on a TCP stream before its first byte, on either side.
///
/// | option | default | why |
/// |---|---|---|
/// | [`nodelay`](Self::nodelay) | on | a connection already joins its messages; Nagle would only hold back the last |
/// | [`keepalive`](Self::keepalive) | 30 s | a peer that vanished is found even if nothing is ever written |
/// | [`notsent_lowat`](Self::notsent_lowat) | 128 KiB | a large message does not fill the kernel's buffer ahead of small ones |
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings do nothing until given to a dialler or listener"]
pub struct TcpOptions {
    nodelay: bool,
    keepalive: Option<Duration>,
    notsent_lowat: Option<u32>,
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
    /// (`TCP_NOTSENT_LOWAT`); Linux and Android only, without effect elsewhere. `None` leaves it to the system.
    pub fn notsent_lowat(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.notsent_lowat = bytes.into();
        self
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
