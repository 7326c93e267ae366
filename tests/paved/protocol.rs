//! What the protocol promises of calls holds in both directions: each test runs once from the client to the server,
//! once from the server to the client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use steeple::{
    Client, Error, Execution, Kind, Metadata, Router,
    router::{Deadline, Handler},
};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    directions::both_directions,
    support::{settle, soon},
};

/// Handlers that begin, wait for a permit, and end; and how many have.
#[derive(Clone)]
struct Gate {
    permits: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Gate {
    fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(0)),
            begun: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// Answers with its argument when it is let through.
    fn router(&self) -> Router {
        let gate = self.clone();
        Router::new().route("Wait", move |text: String| {
            let gate = gate.clone();
            gate.begun.fetch_add(1, Ordering::Relaxed);
            async move {
                gate.permits.acquire().await.unwrap().forget();
                gate.ended.fetch_add(1, Ordering::Relaxed);
                text
            }
        })
    }

    fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    async fn until_begun(&self, count: usize) {
        soon(async {
            while self.begun.load(Ordering::Relaxed) < count {
                settle().await;
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_called_is_refused_before_it_starts_and_the_link_lives() {
    let router = || {
        Router::new()
            .route("Add", |(a, b): (i64, i64)| a + b)
            .route("Panic", || -> () { panic!("boom") })
    };
    for (direction, mut caller, _others) in both_directions(router).await {
        let mut of = Vec::new();
        of.push(soon(caller.call::<()>("Unknown", &())).await.unwrap_err());
        of.push(soon(caller.call::<i64>("Add", &1u8)).await.unwrap_err());
        of.push(soon(caller.call::<()>("Panic", &())).await.unwrap_err());
        let of: Vec<_> = of.iter().map(|it| (it.kind(), it.execution())).collect();
        assert_eq!(
            of,
            [
                (Kind::Unimplemented, Execution::NotStarted),
                (Kind::Invalid, Execution::NotStarted),
                (Kind::Internal, Execution::MaybeExecuted),
            ],
            "{direction}"
        );
        let sum = soon(caller.call::<i64>("Add", &(1i64, 2i64))).await;
        assert_eq!(sum.unwrap(), 3, "{direction}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_answers_come_in_chunks_and_small_ones_pass_them() {
    let router = || {
        Router::new()
            .route("Large", |len: usize| Bytes::from(vec![7; len]))
            .route("Small", || 1)
    };
    for (direction, mut caller, _others) in both_directions(router).await {
        let larges: Vec<_> = (1..4)
            .map(|times| {
                let len = times << 20;
                (len, caller.call::<Bytes>("Large", &len).start().unwrap())
            })
            .collect();
        for _ in 0..10 {
            soon(caller.call::<i32>("Small", &())).await.unwrap();
        }
        for (len, large) in larges {
            let bytes = soon(large).await.unwrap();
            assert_eq!(bytes.len(), len, "{direction}");
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_and_metadata_travel() {
    async fn told(metadata: Metadata, deadline: Deadline, _: ()) -> Result<(String, u64), Error> {
        let left = deadline.0.unwrap().duration_since(Instant::now());
        let name = metadata.get_str("name").unwrap_or("nobody").to_owned();
        Ok((name, left.as_secs()))
    }
    let router = || Router::new().route("Told", told);
    for (direction, mut caller, _others) in both_directions(router).await {
        let call = caller.call::<(String, u64)>("Told", &());
        let call = call
            .metadata("name", "Ada")
            .timeout(Duration::from_millis(7500));
        assert_eq!(soon(call).await.unwrap(), ("Ada".into(), 7), "{direction}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_runs_to_its_end_and_a_cancelled_one_does_not() {
    let gate = Gate::new();
    for (times, (direction, mut caller, _others)) in
        (1..).zip(both_directions(|| gate.router()).await)
    {
        let detached = caller.call::<String>("Wait", "x").start().unwrap();
        let cancelled = caller.call::<String>("Wait", "y").start().unwrap();
        gate.until_begun(2 * times).await;
        cancelled.cancel();
        let error = soon(cancelled).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Cancelled, Execution::MaybeExecuted),
            "{direction}"
        );
        detached.detach();
        settle().await;
        gate.permits.add_permits(1);
        settle().await;
        assert_eq!(gate.ended(), times, "{direction}");
        assert_eq!(gate.permits.available_permits(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn ordered_calls_and_messages_are_handled_in_the_order_in_which_they_were_made() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let router = || {
        let seen = seen.clone();
        let handler = move |number: u32| {
            let seen = seen.clone();
            async move {
                tokio::time::sleep(Duration::from_millis((number % 3).into())).await;
                seen.lock().unwrap().push(number);
            }
        };
        Router::new().route("Note", handler.ordered())
    };
    for (direction, mut caller, _others) in both_directions(router).await {
        let mut calls = Vec::new();
        for number in 0..30u32 {
            if number % 2 == 0 {
                calls.push(caller.call::<()>("Note", &number).start().unwrap());
            } else {
                caller.notify("Note", &number).await.unwrap();
            }
        }
        caller.call::<()>("Note", &30u32).await.unwrap();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen, (0..=30).collect::<Vec<_>>(), "{direction}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_either_side_ends_when_calls_of_both_and_messages_are_handled() {
    for server_drains in [true, false] {
        let gates = [Gate::new(), Gate::new()];
        let [there, back] = &gates;
        let (mut client, server) = crate::connect(there.router(), back.router()).await;
        let peer = server.peers().remove(0);
        soon(peer.handshaken()).await.unwrap();
        let mut other = Client::new(peer);
        let calls = [
            client.call::<String>("Wait", "x").start().unwrap(),
            other.call::<String>("Wait", "x").start().unwrap(),
        ];
        client.notify("Wait", "x").await.unwrap();
        other.notify("Wait", "x").await.unwrap();
        there.until_begun(2).await;
        back.until_begun(2).await;

        let closing = client.clone();
        let drain = tokio::spawn(async move {
            match server_drains {
                true => server.drain().await,
                false => closing.drain().await,
            }
        });
        settle().await;
        assert!(!drain.is_finished());
        gates.iter().for_each(|gate| gate.permits.add_permits(1));
        settle().await;
        assert!(!drain.is_finished(), "each has one more to handle");
        gates.iter().for_each(|gate| gate.permits.add_permits(1));
        soon(drain).await.unwrap();
        for call in calls {
            assert_eq!(soon(call).await.unwrap(), "x");
        }
        settle().await;
        assert_eq!(gates.map(|gate| gate.ended()), [2, 2]);
    }
}
