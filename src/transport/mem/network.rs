//! Names that listen and connect.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use fastrand::Rng;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};
use tower_service::Service;

use super::{
    connection::Connection,
    link::{Link, Scope},
    lock,
    path::{Conditions, Path},
    stream::MemStream,
};
use crate::transport::{Address, Dialing, Endpoint, Listener};

/// A network in memory. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct MemNetwork(Arc<Network>);

/// Listens on a name of a [`MemNetwork`]; dropping it frees the name.
#[derive(Debug)]
pub struct MemListener {
    name: Arc<str>,
    incoming: mpsc::Receiver<(MemStream, Address)>,
    network: MemNetwork,
}

/// Dials `mem://name` over a [`MemNetwork`].
#[derive(Clone, Debug)]
pub struct MemDialer {
    network: MemNetwork,
    name: Arc<str>,
}

#[derive(Debug)]
pub(super) struct Network {
    state: Mutex<State>,
    /// Told of every change of conditions.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    defaults: Conditions,
    /// By the names from which and to which they lead.
    paths: BTreeMap<(Arc<str>, Arc<str>), Arc<Path>>,
    listeners: BTreeMap<Arc<str>, mpsc::Sender<(MemStream, Address)>>,
}

/// How many streams wait to be accepted by a listener; further connects wait, as they do for a kernel whose
/// queue is full.
const BACKLOG: usize = 128;

impl MemNetwork {
    /// A network without names and faults, all of whose chance comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Network {
            state: Mutex::new(State {
                rng: Rng::with_seed(seed),
                defaults: Conditions::default(),
                paths: BTreeMap::new(),
                listeners: BTreeMap::new(),
            }),
            changed: Notify::new(),
        }))
    }

    /// Listens on a name, which any other may connect to.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if there is a listener of that name.
    pub fn listen(&self, name: &str) -> io::Result<MemListener> {
        let mut state = lock(&self.0.state);
        if state.listeners.contains_key(name) {
            let what = format!("mem://{name} has a listener");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        }
        let name: Arc<str> = name.into();
        let (sender, incoming) = mpsc::channel(BACKLOG);
        state.listeners.insert(name.clone(), sender);
        Ok(MemListener {
            name,
            incoming,
            network: self.clone(),
        })
    }

    /// Connects from one name to another. Cancel safe.
    ///
    /// Waits while the way is cut, and while 128 streams wait to be accepted.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if nobody listens on `to`, or if the [`Link`] refuses.
    pub async fn connect(&self, from: &str, to: &str) -> io::Result<MemStream> {
        let (there, back) = (self.0.path(from, to), self.0.path(to, from));
        self.0.until_open(&there, &back).await;
        let round_trip = {
            let rng = &mut lock(&self.0.state).rng;
            there.conditions().delay(rng) + back.conditions().delay(rng)
        };
        if !round_trip.is_zero() {
            sleep(round_trip).await;
        }
        if there.conditions().refused {
            return Err(refused(format!("mem://{to} refuses {from}")));
        }
        let listener = lock(&self.0.state).listeners.get(to).cloned();
        let nobody = || refused(format!("nobody listens on mem://{to}"));
        let listener = listener.ok_or_else(nobody)?;
        let (client, server) = {
            let rng = &mut lock(&self.0.state).rng;
            MemStream::both_ends(Connection::new([there, back], rng))
        };
        let accepted = (server, Address::Mem(from.into()));
        listener.send(accepted).await.map_err(|_| nobody())?;
        Ok(client)
    }

    /// A dialler of `mem://name` endpoints for the name `from`.
    pub fn dialer(&self, from: &str) -> MemDialer {
        MemDialer {
            network: self.clone(),
            name: from.into(),
        }
    }

    /// What happens between two names, in both directions.
    pub fn link(&self, one: &str, other: &str) -> Link {
        self.some(vec![self.0.path(one, other), self.0.path(other, one)])
    }

    /// What happens to bytes that go from one name to another, and not to those that come back.
    pub fn one_way(&self, from: &str, to: &str) -> Link {
        self.some(vec![self.0.path(from, to)])
    }

    /// What happens between any two names, those to come included.
    pub fn all(&self) -> Link {
        Link::new(self.0.clone(), Scope::All)
    }

    fn some(&self, paths: Vec<Arc<Path>>) -> Link {
        Link::new(self.0.clone(), Scope::Some(paths))
    }
}

impl Listener for MemListener {
    type Io = MemStream;

    async fn accept(&mut self) -> io::Result<(MemStream, Address)> {
        let accepted = self.incoming.recv().await;
        accepted.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn local_address(&self) -> Address {
        Address::Mem(self.name.clone())
    }
}

impl Drop for MemListener {
    fn drop(&mut self) {
        // The sending half goes too, and with it the streams that were not accepted; not under the lock.
        let _sender = lock(&self.network.0.state).listeners.remove(&self.name);
    }
}

impl Service<Endpoint> for MemDialer {
    type Response = (MemStream, Address);
    type Error = io::Error;
    type Future = Dialing<MemStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        let Self { network, name } = self.clone();
        Dialing::new(async move {
            if endpoint.scheme() != "mem" {
                let what = format!("{endpoint} is not a mem:// endpoint");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            let stream = network.connect(&name, endpoint.host()).await?;
            Ok((stream, Address::Mem(endpoint.host().into())))
        })
    }
}

impl Network {
    pub(super) fn paths(&self) -> Vec<Arc<Path>> {
        lock(&self.state).paths.values().cloned().collect()
    }

    pub(super) fn set_defaults(&self, set: impl Fn(&mut Conditions)) {
        set(&mut lock(&self.state).defaults);
    }

    pub(super) fn wake_connects(&self) {
        self.changed.notify_waiters();
    }

    fn path(&self, from: &str, to: &str) -> Arc<Path> {
        let mut state = lock(&self.state);
        let State {
            paths, defaults, ..
        } = &mut *state;
        paths
            .entry((from.into(), to.into()))
            .or_insert_with(|| Arc::new(Path::new(defaults.clone())))
            .clone()
    }

    /// Waits until bytes go there and back again.
    async fn until_open(&self, there: &Path, back: &Path) {
        loop {
            // Made before the look, so that no change in between is missed.
            let changed = self.changed.notified();
            if !there.conditions().is_silent() && !back.conditions().is_silent() {
                return;
            }
            changed.await;
        }
    }
}

fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, what)
}
