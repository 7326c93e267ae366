//! From a seed to a world, and to its end.

use std::time::Duration;

use fastrand::Rng;
use steeple::{
    Address, Channel, Connector, Peer, Server, ServerHandle, Stats,
    transport::mem::{MemDialer, MemNetwork},
    wire::{Budget, native::Native},
};
use tokio::{
    runtime::Handle,
    spawn,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tower::ServiceExt;

use super::{
    caller::Callers,
    check,
    climate::{Climate, Setting, one_in},
    ledger::{Ledger, Side},
    serve::{Handlers, handlers},
    weather::{SERVER, Weather},
};

/// One client: it connects, calls, lets go, and connects again.
struct Client {
    ledger: Ledger,
    network: MemNetwork,
    name: String,
    connector: Connector<MemDialer, Handlers>,
    rng: Rng,
    /// What it has connected to.
    peers: Vec<Peer>,
    /// What it holds to the end of the world, where nobody stops before.
    kept: Vec<Channel>,
}

/// What takes longer hangs: under paused time nothing else can.
const HANG: Duration = Duration::from_secs(300);

/// Runs the world of a seed; a number that stands for all that happened in it.
pub(crate) fn run(seed: u64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut rng = Rng::with_seed(seed);
        let setting = Setting::draw(&mut rng);
        let ledger = Ledger::new(setting);
        ledger.tell(format_args!("world {seed}: {setting:?}"));
        if timeout(HANG, live(&ledger, rng)).await.is_err() {
            panic!("it hangs: {:#?}", check::waiting(&ledger));
        }
        check::records(&ledger);
        ledger.trace()
    })
}

/// Lets a world begin, and waits for its end.
async fn live(ledger: &Ledger, mut rng: Rng) {
    let setting = ledger.setting;
    let network = MemNetwork::new(rng.u64(..));
    let mut budgets = Vec::new();
    let mut wire = |rng: &mut Rng| {
        let (limits, budget) = setting.limits(rng);
        budgets.push(budget);
        Native::new(limits)
    };
    let server = Server::new(network.listen(SERVER).unwrap())
        .wire(wire(&mut rng))
        .options(setting.options(&mut rng));
    let handle = server.handle();
    let serving = spawn(server.serve(handlers(ledger, &mut rng)));

    let (mut weathers, mut clients) = (JoinSet::new(), Vec::new());
    for number in 0..rng.usize(1..4) {
        let name = format!("client{number}");
        let weather = Weather::new(ledger, &network, &name, rng.fork());
        weathers.spawn(weather.change());
        let connector = Connector::new()
            .dialer(network.dialer(&name))
            .wire(wire(&mut rng))
            .options(setting.options(&mut rng))
            .serve(handlers(ledger, &mut rng));
        let client = Client {
            ledger: ledger.clone(),
            network: network.clone(),
            name,
            connector,
            rng: rng.fork(),
            peers: Vec::new(),
            kept: Vec::new(),
        };
        clients.push(spawn(client.run()));
    }
    let calling = spawn(call_clients(ledger.clone(), handle.clone(), rng.fork()));
    if setting.server_stops {
        spawn(stop(ledger.clone(), handle.clone(), rng.fork()));
    }

    let (mut peers, mut kept) = (Vec::new(), Vec::new());
    for client in clients {
        let client = done(client).await;
        peers.extend(client.peers);
        kept.extend(client.kept);
    }
    let mut calling = done(calling).await;
    if setting.is_calm() {
        calling.join().await;
        check::all_is_quiet(ledger).await;
    }
    drop(kept);
    if one_in(&mut rng, 2) {
        sleep(Duration::from_millis(rng.u64(0..50))).await;
    }
    ledger.tell(format_args!("the end comes"));
    handle.drain().await;
    done(serving).await;
    calling.join().await;
    while weathers.join_next().await.is_some() {}
    nothing_runs().await;
    end(ledger, &handle, &peers, &budgets);
}

/// What is left when all is over.
fn end(ledger: &Ledger, handle: &ServerHandle, peers: &[Peer], budgets: &[Budget]) {
    assert!(handle.peers().is_empty());
    assert!(peers.iter().all(|peer| peer.pending() == 0));
    for budget in budgets {
        assert_eq!(budget.used(), 0, "memory of a budget is not given back");
    }
    let mut stats = Stats::default();
    for peer in peers {
        stats += peer.stats();
    }
    check::stats(ledger, Side::Client, stats);
    check::stats(ledger, Side::Server, handle.stats());
}

impl Client {
    async fn run(mut self) -> Self {
        let sessions = match self.ledger.setting.is_calm() {
            true => 1,
            false => self.rng.usize(1..4),
        };
        for _ in 0..sessions {
            if let Some(channel) = self.connect().await {
                self.session(channel).await;
            }
            self.pause(50).await;
        }
        self
    }

    async fn connect(&mut self) -> Option<Channel> {
        let channel = if one_in(&mut self.rng, 3) {
            let io = self.network.connect(&self.name, SERVER).await;
            io.map(|io| self.connector.connect_io(io, None)).ok()
        } else {
            let endpoint = format!("mem://{SERVER}").parse().unwrap();
            self.connector.clone().oneshot(endpoint).await.ok()
        };
        let name = &self.name;
        let reached = channel.is_some();
        self.ledger.tell(format_args!("{name} connects: {reached}"));
        let setting = self.ledger.setting;
        assert!(reached || !setting.is_calm(), "the dial failed");
        let channel = channel?;
        self.peers.push(channel.peer().clone());
        // What a server has not accepted when it stops, it cannot answer for.
        let cautious = setting.climate == Climate::Drain && setting.server_stops;
        if cautious || one_in(&mut self.rng, 3) {
            channel.handshaken().await.ok()?;
        }
        Some(channel)
    }

    async fn session(&mut self, channel: Channel) {
        let mut callers = Callers::new(&self.ledger, Side::Client, self.rng.fork());
        let own = Address::Mem((*self.name).into());
        for _ in 0..self.rng.usize(1..20) {
            callers.act(&channel, channel.peer(), Some(&own));
            if one_in(&mut self.rng, 2) {
                self.pause(20).await;
            }
        }
        if self.ledger.setting.is_calm() {
            callers.join().await;
            self.kept.push(channel);
            return;
        }
        let peer = channel.peer().clone();
        let lossless = self.ledger.setting.is_lossless();
        let name = &self.name;
        match self.rng.u8(0..3) {
            0 => {
                self.ledger.tell(format_args!("{name} lets go"));
                drop(channel);
                self.pause(100).await;
            }
            1 if !lossless => {
                self.ledger.tell(format_args!("{name} closes"));
                channel.close();
            }
            _ => {}
        }
        self.ledger.tell(format_args!("{} drains", self.name));
        peer.drain().await;
        callers.join().await;
    }

    async fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(self.rng.u64(0..most))).await;
    }
}

/// Calls any of the clients, now and then.
async fn call_clients(ledger: Ledger, handle: ServerHandle, mut rng: Rng) -> Callers {
    let mut callers = Callers::new(&ledger, Side::Server, rng.fork());
    for _ in 0..rng.usize(0..20) {
        if one_in(&mut rng, 2) {
            sleep(Duration::from_millis(rng.u64(0..30))).await;
        }
        let peers = handle.peers();
        if let Some(peer) = peers.get(rng.usize(0..peers.len().max(1))) {
            callers.act(peer, peer, peer.address());
            if ledger.setting.climate == Climate::Storm && one_in(&mut rng, 10) {
                peer.close();
            }
        }
    }
    callers
}

/// Stops the server while it is busy.
async fn stop(ledger: Ledger, handle: ServerHandle, mut rng: Rng) {
    sleep(Duration::from_millis(rng.u64(0..150))).await;
    ledger.tell(format_args!("the server stops"));
    if ledger.setting.is_lossless() || one_in(&mut rng, 2) {
        handle.drain().await;
    } else {
        handle.close().await;
    }
}

/// Waits until no task is left.
async fn nothing_runs() {
    let metrics = Handle::current().metrics();
    while metrics.num_alive_tasks() > 0 {
        sleep(Duration::from_secs(1)).await;
    }
}

async fn done<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
