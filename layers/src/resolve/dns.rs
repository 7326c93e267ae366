//! The addresses of a host name.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use tokio::net::lookup_host;

use super::Polled;

impl<T: Send + 'static> Polled<T> {
    /// The endpoints are the addresses of `name`, written as `host:port`, as the system resolves it; `endpoint` makes one
    /// of an address.
    ///
    /// It may say the name as well, so that a log has it, and a certificate can be checked. steeple's `Endpoint` does:
    ///
    /// ```text
    /// let server: Endpoint = "tls://db.internal:7000".parse()?;
    /// let resolver = Polled::dns("db.internal:7000", move |address| server.at(address));
    /// // tls://db.internal@10.0.0.1:7000, tls://db.internal@10.0.0.2:7000
    /// ```
    ///
    /// The name is looked up every 5 s, unless an [`interval`](Self::interval) is set: how long an answer holds, the
    /// system does not say. One that cannot be looked up is an error, and not an empty set.
    pub fn dns(
        name: impl Into<Arc<str>>,
        endpoint: impl Fn(SocketAddr) -> T + Send + Sync + 'static,
    ) -> Self {
        let look_up = |name: Arc<str>| async move { Ok(lookup_host(&*name).await?.collect()) };
        Self::by_name(name.into(), look_up, endpoint)
    }

    fn by_name<F, L>(
        name: Arc<str>,
        look_up: F,
        endpoint: impl Fn(SocketAddr) -> T + Send + Sync + 'static,
    ) -> Self
    where
        F: Fn(Arc<str>) -> L + Send + Sync + 'static,
        L: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let endpoint = Arc::new(endpoint);
        Self::new(move || {
            let (addresses, endpoint) = (look_up(name.clone()), endpoint.clone());
            async move {
                let mut addresses = addresses.await?;
                // One that is told twice would have twice its share of the calls.
                addresses.sort_unstable();
                addresses.dedup();
                let targets = addresses
                    .into_iter()
                    .map(|address| endpoint(address).into());
                Ok(targets.collect())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, io::ErrorKind::NotFound, sync::Mutex, time::Duration};

    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::{
        BoxError,
        resolve::{Resolution, Resolver},
    };

    const SECOND: Duration = Duration::from_secs(1);

    /// What the system says, in turn, and then no more.
    type Script = Arc<Mutex<VecDeque<io::Result<Vec<u8>>>>>;

    fn resolver(script: &Script) -> Polled<String> {
        let script = script.clone();
        let look_up = move |name: Arc<str>| {
            assert_eq!(&*name, "db:7000");
            let said = script.lock().unwrap().pop_front();
            async move {
                let last = said.expect("a look-up that was expected")?;
                let address = |byte| SocketAddr::from(([10, 0, 0, byte], 7000));
                Ok(last.into_iter().map(address).collect())
            }
        };
        Polled::by_name("db:7000".into(), look_up, |address| format!("db@{address}"))
            .interval(SECOND)
    }

    fn script(said: impl IntoIterator<Item = io::Result<Vec<u8>>>) -> Script {
        Arc::new(Mutex::new(said.into_iter().collect()))
    }

    fn endpoints(found: Result<Resolution<String>, BoxError>) -> Vec<String> {
        let targets = found.unwrap();
        let endpoint = |target: &crate::resolve::Target<String>| target.endpoint().clone();
        targets.targets().iter().map(endpoint).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_at_intervals_until_its_addresses_are_others() {
        let script = script([
            Ok(vec![2, 1, 2]),
            Ok(vec![1, 2]),
            Ok(vec![2, 1]),
            Ok(vec![1, 3]),
        ]);
        let (resolver, begun) = (resolver(&script), Instant::now());
        let first = resolver.resolve(None).await.unwrap();
        let version = first.version().cloned();
        assert_eq!(
            endpoints(Ok(first)),
            ["db@10.0.0.1:7000", "db@10.0.0.2:7000"]
        );
        let second = resolver.resolve(version.as_ref()).await;
        assert_eq!(endpoints(second), ["db@10.0.0.1:7000", "db@10.0.0.3:7000"]);
        assert_eq!(begun.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_fails_is_an_error_and_the_next_goes_on_from_what_was_known() {
        let unknown = || Err(NotFound.into());
        let script = script([unknown(), Ok(vec![1]), unknown(), Ok(vec![1]), Ok(vec![2])]);
        let resolver = resolver(&script);
        let kind = |error: BoxError| error.downcast_ref::<io::Error>().unwrap().kind();
        assert_eq!(kind(resolver.resolve(None).await.unwrap_err()), NotFound);
        let first = resolver.resolve(None).await.unwrap();
        let error = resolver.resolve(first.version()).await.unwrap_err();
        assert_eq!(kind(error), NotFound);
        let next = resolver.resolve(first.version()).await;
        assert_eq!(endpoints(next), ["db@10.0.0.2:7000"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_without_addresses_is_believed_at_once_or_after_a_while() {
        let gone = || script((0..5).map(|at| Ok(if at == 0 { vec![1] } else { vec![] })));
        for (hold, after) in [(Duration::ZERO, 1), (3 * SECOND, 4)] {
            let resolver = resolver(&gone()).hold_empty(hold);
            let first = resolver.resolve(None).await.unwrap();
            let begun = Instant::now();
            let second = timeout(10 * SECOND, resolver.resolve(first.version())).await;
            assert!(endpoints(second.unwrap()).is_empty());
            assert_eq!(begun.elapsed(), after * SECOND);
        }
    }
}
