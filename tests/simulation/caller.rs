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

    /// Calls once, or several times one after the other: a handle may use again what it has of its last call.
    fn call<S>(&mut self, mut service: S, suspect: bool)
    where
        S: Service<Request, Future = ResponseFuture> + Send + 'static,
    {
        let (ledger, side) = (self.ledger.clone(), self.side);
        let rng = &mut self.rng;
        let calls = if one_in(rng, 4) { rng.usize(2..5) } else { 1 };
        let calls: Vec<_> = (0..calls)
            .map(|_| {
                let terms = Terms::draw(rng);
                // If calls of both sides nested, each side could wait for the last handler of the other.
                let may_nest = side == Side::Client;
                (Plan::draw(rng, ledger.setting, terms, may_nest), terms)
            })
            .collect();
        let lets_go = one_in(rng, 3);
        self.tasks.spawn(async move {
            for (plan, terms) in &calls[1..] {
                make(&ledger, side, suspect, *plan, terms, |it| service.call(it)).await;
            }
            // The last call is made by a handle that may be gone before its answer comes.
            let (plan, terms) = &calls[0];
            let mut service = Some(service);
            let call = |it| {
                let answer = service.as_mut().unwrap().call(it);
                service.take_if(|_| lets_go);
                answer
            };
            make(&ledger, side, suspect, *plan, terms, call).await;
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

/// Makes one call, and waits for its answer as long as its terms say.
async fn make(
    ledger: &Ledger,
    side: Side,
    suspect: bool,
    plan: Plan,
    terms: &Terms,
    call: impl FnOnce(Request) -> ResponseFuture,
) {
    let mut request = plan.request();
    terms.apply(&mut request);
    let known = Call {
        one_way: false,
        suspect,
        deadline: request.cx().deadline(),
    };
    let open = ledger.open(side, plan, known);
    let mut answer = call(request);
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
}

/// Whether bytes change on their way from or to a client.
pub(crate) fn is_suspect(setting: Setting, client: Option<&Address>) -> bool {
    let named = matches!(client, Some(Address::Mem(name)) if **name == *SUSPECT);
    named && setting.climate == Climate::Corrupt
}
