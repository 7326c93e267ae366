//! Callers: of a channel on the one side, of a peer on the other.

use fastrand::Rng;
use steeple::{Address, Error, Peer, Request, Response, ResponseFuture};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::Service;

use super::{
    climate::{Climate, Setting, one_in},
    ledger::{Call, Ledger, Side},
    plan::{Fate, Plan, Terms, turns},
};

/// Makes calls, each in a task of its own.
pub(crate) struct Callers {
    ledger: Ledger,
    side: Side,
    rng: Rng,
    tasks: JoinSet<()>,
}

/// The name of the client whose bytes change on their way, where some do.
pub(crate) const SUSPECT: &str = "client0";

impl Callers {
    pub(crate) fn new(ledger: &Ledger, side: Side, rng: Rng) -> Self {
        Self {
            ledger: ledger.clone(),
            side,
            rng,
            tasks: JoinSet::new(),
        }
    }

    /// Does something with a connection. `address` is of the other end on the server, and of this one on a client.
    pub(crate) fn act<S>(&mut self, service: &S, peer: &Peer, address: Option<&Address>)
    where
        S: Service<Request, Response = Response, Error = Error, Future = ResponseFuture>,
        S: Clone + Send + 'static,
    {
        let suspect = is_suspect(self.ledger.setting, address);
        match self.rng.u8(0..20) {
            0 | 1 => self.send(service.clone(), suspect),
            2 => self.ping(peer.clone(), suspect),
            3 => self.watch(peer.clone()),
            _ => self.call(service.clone(), suspect),
        }
    }

    /// Waits until all have ended.
    pub(crate) async fn join(&mut self) {
        while let Some(task) = self.tasks.join_next().await {
            if let Err(error) = task {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    fn call<S>(&mut self, mut service: S, suspect: bool)
    where
        S: Service<Request, Future = ResponseFuture> + Send + 'static,
    {
        let (setting, rng) = (self.ledger.setting, &mut self.rng);
        let terms = Terms::draw(rng);
        // If calls of both sides nested, each side could wait for the last handler of the other.
        let plan = Plan::draw(rng, setting, terms, self.side == Side::Client);
        let lets_go = one_in(rng, 3);
        let (ledger, side) = (self.ledger.clone(), self.side);
        self.tasks.spawn(async move {
            let mut request = plan.request();
            terms.apply(&mut request);
            let call = Call {
                one_way: false,
                suspect,
                deadline: request.cx().deadline(),
            };
            let open = ledger.open(side, plan, call);
            let mut answer = service.call(request);
            if lets_go {
                drop(service);
            }
            match terms.fate {
                Fate::Wait => open.end(&answer.await),
                Fate::Detach => {
                    open.detach();
                    answer.detach();
                }
                Fate::DropAfter(wait) => {
                    if let Ok(result) = timeout(wait, &mut answer).await {
                        open.end(&result);
                    }
                }
                Fate::DropAfterTurns(count) => {
                    tokio::select! {
                        biased;
                        result = &mut answer => open.end(&result),
                        () = turns(count.into()) => {}
                    }
                }
            }
        });
    }

    /// Sends a message without an answer.
    fn send<S>(&mut self, mut service: S, suspect: bool)
    where
        S: Service<Request, Future = ResponseFuture> + Send + 'static,
    {
        let terms = Terms {
            timeout: None,
            fate: Fate::Wait,
        };
        let plan = Plan::draw(&mut self.rng, self.ledger.setting, terms, false);
        let (ledger, side) = (self.ledger.clone(), self.side);
        self.tasks.spawn(async move {
            let mut request = plan.request();
            request.cx_mut().set_one_way(true);
            let call = Call {
                one_way: true,
                suspect,
                deadline: None,
            };
            let open = ledger.open(side, plan, call);
            open.sent(&service.call(request).await);
        });
    }

    fn ping(&mut self, peer: Peer, suspect: bool) {
        let ledger = self.ledger.clone();
        self.tasks.spawn(async move {
            ledger.tell(format_args!("a ping"));
            let result = peer.ping().await;
            ledger.tell(format_args!("a ping took {result:?}"));
            let must = ledger.setting.is_calm() && !suspect;
            assert!(result.is_ok() || !must, "{result:?}");
        });
    }

    /// Waits for what a connection comes to. Not joined: it ends when the connection does.
    fn watch(&mut self, peer: Peer) {
        let (ledger, wait) = (self.ledger.clone(), self.rng.u64(0..50));
        tokio::spawn(async move {
            let _ = peer.handshaken().await;
            sleep(std::time::Duration::from_millis(wait)).await;
            peer.draining().await;
            ledger.tell(format_args!("a connection drains"));
            peer.closed().await;
            ledger.tell(format_args!("a connection is closed"));
            assert!(peer.is_closed());
        });
    }
}

/// Whether bytes change on their way from or to a client.
pub(crate) fn is_suspect(setting: Setting, client: Option<&Address>) -> bool {
    let named = matches!(client, Some(Address::Mem(name)) if **name == *SUSPECT);
    named && setting.climate == Climate::Corrupt
}
