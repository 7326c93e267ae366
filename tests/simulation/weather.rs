//! What the network does meanwhile.

use std::time::Duration;

use fastrand::Rng;
use steeple::transport::mem::{Link, MemNetwork};
use tokio::time::sleep;

use super::{
    caller::SUSPECT,
    census,
    climate::{Climate, one_in},
    ledger::Ledger,
};

/// Where all listen.
pub(crate) const SERVER: &str = "server";

/// The network between a client and the server, in either direction.
pub(crate) struct Weather {
    ledger: Ledger,
    network: MemNetwork,
    client: String,
    rng: Rng,
}

/// What is about the longest wait for a byte that arrives at all.
const LONG: u64 = 100;

impl Weather {
    /// The weather, of which some is there before any connection.
    pub(crate) fn new(ledger: &Ledger, network: &MemNetwork, client: &str, rng: Rng) -> Self {
        let mut this = Self {
            ledger: ledger.clone(),
            network: network.clone(),
            client: client.into(),
            rng,
        };
        for _ in 0..this.rng.u8(0..3) {
            let link = this.link();
            this.slow(&link);
        }
        this
    }

    /// Changes a number of times, then clears up.
    pub(crate) async fn change(mut self) {
        for _ in 0..self.rng.u8(0..8) {
            self.pause(40).await;
            let link = self.link();
            let climate = self.ledger.setting.climate;
            match climate {
                Climate::Storm if one_in(&mut self.rng, 2) => self.storm(&link),
                Climate::Corrupt if self.client == SUSPECT => {
                    let bytes = self.rng.u64(0..3000);
                    self.tell(format_args!("corrupts byte {bytes}"));
                    census::saw("corrupt");
                    link.corrupt_after(bytes);
                }
                _ if one_in(&mut self.rng, 4) => {
                    self.tell(format_args!("is cut"));
                    census::saw("cut");
                    link.partition();
                    self.pause(LONG).await;
                    self.tell(format_args!("is whole"));
                    link.heal();
                }
                _ => self.slow(&link),
            }
        }
        self.pause(LONG).await;
        self.tell(format_args!("clears up"));
        self.network.link(&self.client, SERVER).heal();
    }

    /// Something that loses nothing.
    fn slow(&mut self, link: &Link) {
        let fine = self.ledger.setting.fine;
        let rng = &mut self.rng;
        let time = |rng: &mut Rng| Duration::from_micros(rng.u64(0..20_000));
        let (what, _) = match rng.u8(0..6) {
            0 => ("latency", link.latency(time(rng))),
            1 => ("jitter", link.jitter(time(rng))),
            2 => {
                let bytes = rng.usize(4_000..100_000);
                ("bandwidth", link.bandwidth(bytes, Duration::from_millis(1)))
            }
            3 if fine => ("torn", link.torn()),
            3 | 4 => {
                let range = if fine { 20..500 } else { 2000..100_000 };
                ("capacity", link.capacity(rng.usize(range)))
            }
            _ => ("clear", link.clear()),
        };
        census::saw(what);
        self.tell(format_args!("is now {link:?}"));
    }

    /// Something that does.
    fn storm(&mut self, link: &Link) {
        let (what, _) = match self.rng.u8(0..6) {
            0 => ("kill", link.kill()),
            1 | 2 => ("kill after", link.kill_after(self.rng.u64(0..20_000))),
            3 => ("swallow", link.swallow()),
            4 => ("partition", link.partition()),
            _ => ("refuse", link.refuse()),
        };
        census::saw(what);
        self.tell(format_args!("storms: {link:?}"));
    }

    /// Both directions, or one.
    fn link(&mut self) -> Link {
        let (network, client) = (&self.network, &self.client);
        match self.rng.u8(0..4) {
            0 => network.one_way(client, SERVER),
            1 => network.one_way(SERVER, client),
            _ => network.link(client, SERVER),
        }
    }

    async fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(self.rng.u64(0..most))).await;
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        let client = &self.client;
        self.ledger.tell(format_args!("the way to {client} {what}"));
    }
}
