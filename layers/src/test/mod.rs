//! Does a layer keep the contract of a tower service?
//!
//! A service grants a call by being ready, and the grant belongs to that one instance: not to a clone of it, and
//! not to a later call. Dropping a call's future cancels it. Most mistakes with this do not show with one
//! call, one clone and one attempt; they show as a deadlock in production. [`probe`] puts a layer around a
//! [`Simulated`] service that counts its grants, uses it in several ways, and reports what went wrong:
//!
//! ```
//! use steeple_layers::{Carry, Context, TimeoutLayer, test::probe};
//!
//! struct Call(Context);
//!
//! impl Carry for Call {
//!     fn cx(&self) -> &Context {
//!         &self.0
//!     }
//!
//!     fn cx_mut(&mut self) -> &mut Context {
//!         &mut self.0
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let layer = TimeoutLayer::default();
//! probe(&layer, || Call(Context::new("Probe")), || "answer").await.unwrap();
//! # }
//! ```

mod ledger;
mod scenarios;
mod simulated;

use std::{error::Error as StdError, fmt, future::Future, sync::Arc, time::Duration};

use tokio::time::timeout;
use tower_layer::Layer;
use tower_service::Service;

pub use self::simulated::{Answering, Simulated};
use self::{
    ledger::Ledger,
    simulated::{Answer, Conduct, Readiness},
};

/// Uses a layer over a [`Simulated`] service in several ways, and tells where it breaks the contract.
///
/// | it is a fault to | since |
/// |---|---|
/// | call a service that is not ready | it may have no room, or no connection |
/// | keep a grant when the service, a clone or a call is dropped | nobody else ever gets it |
/// | lose a wake-up, or never ask whether the inner service is ready | callers hang |
/// | keep a call running when its future is dropped | nobody waits for it, and it holds its grant |
///
/// A layer may refuse calls, repeat them, or never make them. `request` and `response` make what goes in and
/// comes out. Use it in a test with paused time: a scenario in which nothing happens any more ends after ten
/// seconds.
///
/// # Errors
/// A [`Report`] of all scenarios that failed.
pub async fn probe<L, R, T>(
    layer: &L,
    request: impl Fn() -> R,
    response: impl Fn() -> T + Send + Sync + 'static,
) -> Result<(), Report>
where
    L: Layer<Simulated<T>>,
    L::Service: Service<R> + Clone,
{
    let mut probe = Probe {
        layer,
        request,
        response: Arc::new(response),
        faults: Vec::new(),
    };
    scenarios::run_all(&mut probe).await;
    match probe.faults.is_empty() {
        true => Ok(()),
        false => Err(Report {
            faults: probe.faults,
        }),
    }
}

/// What a layer did wrong. Its text has a line for every fault.
#[derive(Clone)]
pub struct Report {
    faults: Vec<Fault>,
}

#[derive(Clone)]
struct Fault {
    scenario: &'static str,
    what: String,
}

impl Report {
    /// How many faults there are.
    pub fn faults(&self) -> usize {
        self.faults.len()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the layer breaks the contract of a tower service:")?;
        for fault in &self.faults {
            write!(f, "\n- {}: {}", fault.scenario, fault.what)?;
        }
        Ok(())
    }
}

/// The text, so that it can be read where a test unwraps.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Report {}

/// A layer under test.
struct Probe<'a, L, F, T> {
    layer: &'a L,
    request: F,
    response: Arc<dyn Fn() -> T + Send + Sync>,
    faults: Vec<Fault>,
}

/// How long a scenario may take: far longer than any backoff of its few attempts.
const PATIENCE: Duration = Duration::from_secs(10);

impl<L, F, T> Probe<'_, L, F, T>
where
    L: Layer<Simulated<T>>,
{
    /// Plays a scenario over a new service, and then looks whether all is given back.
    async fn play<Fut>(
        &mut self,
        scenario: &'static str,
        conduct: Conduct,
        play: impl FnOnce(L::Service, Arc<Ledger>) -> Fut,
    ) where
        Fut: Future<Output = ()>,
    {
        let ledger = Arc::new(Ledger::new(conduct.room));
        let inner = Simulated::new(conduct, ledger.clone(), self.response.clone());
        let service = self.layer.layer(inner);
        if timeout(PATIENCE, play(service, ledger.clone()))
            .await
            .is_err()
        {
            ledger.fault("calls hang: a grant or a wake-up was lost".to_owned());
        }
        ledger.check_all_given_back("when all services and calls were dropped");
        let faults = ledger.faults().into_iter();
        self.faults
            .extend(faults.map(|what| Fault { scenario, what }));
    }
}
