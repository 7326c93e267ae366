//! When the server refuses a call: what is left until the caller knows is the way of the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use steeple::{Error, Request, RpcService};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

/// Knows when calls were refused, each by the number that is its body.
#[derive(Clone, Default)]
pub(crate) struct Witness(Arc<Mutex<HashMap<u64, Instant>>>);

impl Witness {
    /// Looks at what this service refuses.
    pub(crate) fn watch(
        &self,
        service: impl RpcService<Error = Error> + Clone + Send + 'static,
    ) -> impl RpcService<Error = Error> + Clone + Send + 'static {
        let witness = self.clone();
        service_fn(move |request: Request| {
            let (service, witness) = (service.clone(), witness.clone());
            async move {
                let number = number(&request);
                let result = service.oneshot(request).await;
                if result.is_err() {
                    witness.refused().insert(number, Instant::now());
                }
                result
            }
        })
    }

    /// When this call was refused, which is told once.
    pub(crate) fn refused_at(&self, number: u64) -> Option<Instant> {
        self.refused().remove(&number)
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(request: &Request) -> u64 {
    let bytes = request.body().as_bytes();
    bytes[..].try_into().map_or(0, u64::from_le_bytes)
}
