//! A server with a good client, who goes on calling while others attack.

use std::{cell::Cell, panic, sync::Once, time::Duration};

use steeple::{
    Channel, Connector, Options, Server, ServerHandle,
    transport::mem::MemNetwork,
    wire::{
        Budget,
        native::{Limits, Native},
    },
};
use tokio::{sync::oneshot, task::JoinHandle};
use tower::{Service, ServiceExt};

use crate::support::{Probe, RawPeer, call, settle, soon};

/// All bytes of unfinished messages that the server holds.
pub(crate) const BUDGET: usize = 8 * 1024 * 1024;

/// Bytes of unfinished messages that it holds for one connection.
pub(crate) const MAX_ASSEMBLY: usize = 1024 * 1024;

pub(crate) struct Town {
    network: MemNetwork,
    pub(crate) handle: ServerHandle,
    pub(crate) probe: Probe,
    pub(crate) budget: Budget,
    good: Channel,
    life: JoinHandle<u64>,
    stop: oneshot::Sender<()>,
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

impl Town {
    /// A server with small limits, on which the good client is calling.
    pub(crate) async fn new() -> Self {
        Self::with(Options::new().max_waiting(100, 100_000).max_handlers(100)).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        count_panics();
        let network = MemNetwork::new(11);
        let budget = Budget::new(BUDGET);
        let limits = Limits::new()
            .max_assembly(MAX_ASSEMBLY)
            .assembly_budget(budget.clone());
        let server = Server::new(network.listen("server").unwrap())
            .wire(Native::new(limits))
            .options(options);
        let handle = server.handle();
        let probe = Probe::default();
        tokio::spawn(server.serve(probe.service()));
        let connector = Connector::new().dialer(network.dialer("good"));
        let endpoint = "mem://server".parse().unwrap();
        let good: Channel = connector.oneshot(endpoint).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let life = tokio::spawn(live(good.clone(), stopped));
        Self {
            network,
            handle,
            probe,
            budget,
            good,
            life,
            stop,
        }
    }

    /// Another connection to the server, not opened.
    pub(crate) async fn stranger(&self) -> RawPeer {
        RawPeer::new(self.network.connect("bad", "server").await.unwrap())
    }

    /// Another connection to the server, opened.
    pub(crate) async fn enemy(&self) -> RawPeer {
        let mut enemy = self.stranger().await;
        enemy.shake_hands().await;
        enemy
    }

    /// Waits until the good client is the only one.
    pub(crate) async fn until_alone(&self) {
        soon(async {
            while self.handle.peers().len() > 1 {
                settle().await;
            }
        })
        .await;
    }

    /// Nothing of it all was noticed by the good client, nothing is left over, nothing panicked.
    pub(crate) async fn ends_well(mut self) {
        let _ = self.stop.send(());
        let calls = soon(self.life).await.unwrap();
        assert!(calls > 0, "the good client made no call meanwhile");
        let answer = soon(self.good.call(call("echo", "bye"))).await.unwrap();
        assert_eq!(answer.body().as_bytes(), "bye");
        self.good.drain().await;
        soon(self.handle.drain()).await;
        assert_eq!(self.budget.used(), 0, "bytes of ended connections are held");
        assert_eq!(PANICS.get(), 0, "something panicked");
    }
}

/// Calls, small and in chunks, one after the other, until it is stopped.
async fn live(mut channel: Channel, mut stopped: oneshot::Receiver<()>) -> u64 {
    let mut calls = 0;
    loop {
        let body = vec![calls as u8; if calls % 50 == 49 { 100_000 } else { 100 }];
        let mut request = call("echo", body.clone());
        request.cx_mut().set_timeout(Duration::from_secs(1));
        let answer = channel.call(request).await.unwrap();
        assert_eq!(answer.body().as_bytes(), &body);
        calls += 1;
        tokio::select! {
            biased;
            _ = &mut stopped => return calls,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

/// Counts what panics on this thread, which is where all tasks of a test run.
pub(crate) fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            print(info);
        }));
    });
    PANICS.set(0);
}

/// How much has panicked since.
pub(crate) fn panics() -> u32 {
    PANICS.get()
}
