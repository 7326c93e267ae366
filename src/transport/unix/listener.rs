//! A listener on a `unix://` endpoint.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixStream, unix::UCred};

use super::socket_address;
use crate::{
    Extensions,
    transport::{Address, Endpoint, Handshake, Listener, failed::failed},
};

/// Listens on `unix:///path` or `unix://@name`.
///
/// The file of a path is made when it is bound, with the permissions that the umask leaves: who may write to it may
/// connect. It is removed when the listener is dropped, unless somebody has put another in its place.
///
/// The system says which process is at the other side: requests find it in their connection, as a [`UCred`], and so does
/// what makes a connection's service in [`Accepted::extensions`](crate::server::Accepted::extensions).
///
/// ```
/// use steeple::{Error, Kind, Request, Response};
/// use tokio::net::unix::UCred;
///
/// async fn who(request: Request) -> Result<Response, Error> {
///     let peer: Option<&UCred> = request.connection().and_then(|it| it.get());
///     let peer = peer.ok_or_else(|| Error::new(Kind::Unauthenticated, "no unix socket"))?;
///     Ok(Response::new(format!("user {}", peer.uid()).into()))
/// }
/// ```
#[derive(Debug)]
pub struct UnixListener {
    inner: tokio::net::UnixListener,
    address: Address,
    _file: Option<SocketFile>,
}

/// The file of a bound socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// By which it is known to be the same one: its device and inode.
    identity: (u64, u64),
}

impl UnixListener {
    /// Binds to a path or an abstract name. A socket file to which nobody listens any more, as a process leaves it
    /// that was killed, is replaced. Two that start at the same moment over such a file may both get their
    /// listener, and then the later has the path.
    ///
    /// # Errors
    /// If the endpoint is not `unix://`, somebody listens there, the path is of something else than a socket,
    /// or it is too long for the system; the error names the endpoint and keeps the cause as its source.
    pub async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        let address = socket_address(endpoint)?;
        let path = address.as_pathname().map(Path::to_owned);
        let bind = || tokio::net::UnixListener::bind_addr(&address);
        let bound = match (bind(), &path) {
            (Err(error), Some(path)) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path).await.and_then(|()| bind())
            }
            (bound, _) => bound,
        };
        let inner = bound.map_err(|error| failed(format!("cannot listen on {endpoint}"), error))?;
        Ok(Self {
            inner,
            address: Address::Unix(endpoint.host().into()),
            _file: path.and_then(SocketFile::of),
        })
    }

    /// Takes a listener that was bound elsewhere, whose file is left where it is.
    ///
    /// # Errors
    /// If the system cannot say where it listens.
    pub fn from_tokio(inner: tokio::net::UnixListener) -> io::Result<Self> {
        Ok(Self {
            address: name(&inner.local_addr()?),
            inner,
            _file: None,
        })
    }

    /// A client, and what the system knows of it.
    pub(in crate::transport) async fn accept_known(
        &mut self,
    ) -> io::Result<(UnixStream, Extensions, Address)> {
        let (stream, address) = self.inner.accept().await?;
        let mut known = Extensions::new();
        // Of a client that has left already the system may know nothing; it is served to its end all the same.
        if let Ok(peer) = stream.peer_cred() {
            known.insert::<UCred>(peer);
        }
        Ok((stream, known, name(&address)))
    }
}

impl Listener for UnixListener {
    type Io = Handshake<UnixStream>;

    async fn accept(&mut self) -> io::Result<(Self::Io, Address)> {
        let (stream, known, address) = self.accept_known().await?;
        Ok((Handshake::known(stream, known), address))
    }

    fn local_address(&self) -> Address {
        self.address.clone()
    }
}

impl SocketFile {
    /// Nothing, if it is gone already.
    fn of(path: PathBuf) -> Option<Self> {
        let identity = identity(&path).ok()?;
        Some(Self { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Where it cannot be removed, the next one to bind there finds it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket to which nobody listens.
async fn remove_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let text = "there is a file that is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Gone in the meantime.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Who does not let us in, or has a full queue, is there.
        Ok(_) | Err(_) => {
            let text = "somebody listens there";
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn name(address: &tokio::net::unix::SocketAddr) -> Address {
    let name = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.to_string_lossy().into_owned(),
        (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
        (None, None) => String::new(),
    };
    Address::Unix(name.into())
}
