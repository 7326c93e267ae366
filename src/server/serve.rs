//! The run of a server, from its first client to its last.

use std::{future::pending, panic};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::sleep,
};
use tower_service::Service;

use super::{
    Accepted, Phase, Server, ServerHandle, Stopped,
    accepted::{Clones, assert_serves},
    front::Front,
    handle::Wish,
    house::House,
    stack::stack,
};
use crate::{Error, conn::RpcService, transport::Listener, wire::Wire};

impl<L: Listener, W: Wire + Clone> Server<L, W> {
    /// Serves until the server is drained or closed by its [handle](Self::handle), and says which. Each
    /// connection has its own clone of `service`, under the [default stack](super#the-default-stack).
    ///
    /// An accept that fails is logged and counted, and accepting goes on after a second. Dropping the future
    /// ends all connections at once.
    ///
    /// # Panics
    /// If `service` implements nothing: its readiness fails with [`Kind::Unimplemented`](crate::Kind::Unimplemented)
    /// before any call, as that of an empty router does.
    pub async fn serve<S>(self, service: S) -> Stopped
    where
        S: RpcService + Clone + Send + 'static,
    {
        let service = stack(service, self.policy.max_call_time);
        self.serve_bare(service).await
    }

    /// As [`serve`](Self::serve), with nothing around the service: for stacks of your own, and for those who count
    /// nanoseconds. A panic still fails its call only, and is logged without the method.
    pub async fn serve_bare<S>(self, service: S) -> Stopped
    where
        S: RpcService + Clone + Send + 'static,
    {
        self.serve_with(Clones::new(service)).await
    }

    /// Serves in a task of its own, as [`serve`](Self::serve), and returns what watches and stops it. Dropping that stops
    /// nothing.
    ///
    /// # Panics
    /// If called outside of a tokio runtime; or as [`serve`](Self::serve).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), steeple::Error> {
    /// use steeple::{Client, Router, Server};
    ///
    /// let router = Router::new().route("Shout", |text: String| text.to_uppercase());
    /// let server = Server::bind("tcp://127.0.0.1:0").await?.spawn(router);
    /// let mut client = Client::connect(server.address()).await?;
    /// assert_eq!(client.call::<String>("Shout", "hello").await?, "HELLO");
    /// server.drain().await;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<S>(self, service: S) -> ServerHandle
    where
        S: RpcService + Clone + Send + 'static,
    {
        assert_serves(&service);
        let handle = self.handle();
        tokio::spawn(self.serve(service));
        handle
    }

    /// Serves each connection by a service of its own, which `make` makes when it is accepted, with nothing around it.
    /// It is told [who has come](Accepted), and has a handle to call the client by. Each connection calls a clone of
    /// `make` of its own, once: what it keeps from one to the next has to be shared by its clones, as in an `Arc`.
    ///
    /// Where it fails, the client is told the error and refused. It has
    /// [`handshake_timeout`](crate::Options::handshake_timeout) for it, and holds nobody else up.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), steeple::Error> {
    /// use steeple::{Error, Kind, Server, conn::Unserved, server::Accepted};
    /// use tower::service_fn;
    ///
    /// let server = Server::bind("tcp://127.0.0.1:7000").await?;
    /// let make = service_fn(|accepted: Accepted| async move {
    ///     match accepted.address.ip() {
    ///         Some(ip) if ip.is_loopback() => Ok(Unserved),
    ///         _ => Err(Error::new(Kind::PermissionDenied, "only from this host")),
    ///     }
    /// });
    /// server.serve_with(make).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve_with<M, S>(self, make: M) -> Stopped
    where
        M: Service<Accepted, Response = S, Error: Into<Error>, Future: Send>
            + Clone
            + Send
            + 'static,
        S: RpcService + Send + 'static,
    {
        let Self {
            listener,
            others,
            wire,
            mut options,
            policy,
            handle,
            shutdown,
            mut wishes,
            // Behind the wishes, so that it goes first: who waited for the end finds it.
            life,
        } = self;
        options.quota.get_or_insert_default();
        let house = House {
            make,
            wire,
            options,
            ages: policy.ages,
            slots: policy.slots,
            handle: handle.clone(),
        };
        let mut done = *wishes.borrow();
        let serves = done == Wish::Serve;
        // One that was to end before it serves tells those who have come, and no more.
        life.reach(match serves {
            true => Phase::Serving,
            false => Phase::Draining,
        });
        let mut fronts = JoinSet::new();
        for other in others {
            fronts.spawn(Front::new(other, house.clone()).run(wishes.clone()));
        }
        fronts.spawn(Front::new(listener, house).run(wishes.clone()));
        if serves {
            let mut shutdown = shutdown.unwrap_or_else(|| Box::pin(pending()));
            done = tokio::select! {
                biased;
                wish = more_than(Wish::Serve, &mut wishes) => wish,
                () = all(&mut fronts) => return Stopped::Ended,
                () = &mut shutdown => Wish::Drain,
            };
            handle.want(done);
            if done == Wish::Drain && !policy.lame_duck.is_zero() {
                life.reach(Phase::LameDuck);
                tokio::select! {
                    biased;
                    wish = more_than(done, &mut wishes) => done = wish,
                    () = all(&mut fronts) => {}
                    () = sleep(policy.lame_duck) => {}
                }
            }
            life.reach(Phase::Draining);
        }
        handle.registry().stop(done);
        loop {
            tokio::select! {
                biased;
                wish = more_than(done, &mut wishes) => {
                    done = wish;
                    handle.registry().stop(done);
                }
                () = all(&mut fronts) => break,
            }
        }
        match done {
            Wish::Close => Stopped::Closed,
            Wish::Serve | Wish::Drain => Stopped::Drained,
        }
    }
}

/// Waits until all have ended, and panics as they do.
async fn all(fronts: &mut JoinSet<()>) {
    while let Some(ended) = fronts.join_next().await {
        if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
            panic::resume_unwind(panic);
        }
    }
}

/// Waits until more is wanted than what is done.
async fn more_than(done: Wish, wishes: &mut watch::Receiver<Wish>) -> Wish {
    let wish = wishes.wait_for(|wish| *wish > done).await;
    // The server's own handle can want, so there is always somebody who can.
    wish.map_or(Wish::Close, |wish| *wish)
}
