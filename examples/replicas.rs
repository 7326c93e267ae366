//! Replicas under constant load, to which everything happens that happens: one is killed, drained, added, made slow, made
//! to refuse every call. No call fails, and the table shows who was called meanwhile.
//!
//! The stack is put together by hand, to count what each replica is given; `Client::connect("tcp://a:1,tcp://b:2")`
//! would have done. Patience is set short here, so that the example is.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use steeple::{
    Channel, Client, Connector, Endpoint, Error, Kind, Request, Response, Server, ServerHandle,
    layers::{
        Backoff, BalanceLayer, LogLayer, Replicas, RetryLayer, TimeoutLayer,
        replicas::{Ejection, State},
        resolve::{Streamed, Target},
    },
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tower::{ServiceBuilder, layer::layer_fn, service_fn};

type Failure = Box<dyn StdError + Send + Sync>;

const CALLERS: usize = 32;

/// How long a stage is watched.
const STAGE: Duration = Duration::from_millis(1000);

/// A replica that misbehaves has at most this share of the calls, in percent.
const LITTLE: f64 = 2.0;

/// What a handler does, unless it is told otherwise.
const WORK: Duration = Duration::from_millis(1);

const WELL: u8 = 0;
const SLOW: u8 = 1;
const REFUSING: u8 = 2;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut house = House::default();
    for name in ["a", "b", "c"] {
        house.open(name).await?;
    }

    // Where the replicas are: whatever was sent last.
    let (list, listed) = mpsc::channel::<Vec<Target<Endpoint>>>(1);
    list.send(house.targets()?).await?;
    let listed = futures_util::stream::unfold(listed, async |mut listed| {
        Some((Ok::<_, Error>(listed.recv().await?), listed))
    });

    // What each is given, by address: a layer on every connection.
    let given = Given::default();
    let counts = given.clone();
    let count = layer_fn(move |channel: Channel| {
        let count = counts.of(&channel
            .address()
            .map_or_else(String::new, ToString::to_string));
        let counted = move |request: Request| {
            count.fetch_add(1, Relaxed);
            request
        };
        ServiceBuilder::new().map_request(counted).service(channel)
    });
    let brief = Backoff::new(Duration::from_millis(400), Duration::from_secs(2));
    let replicas = Replicas::builder(Streamed::sets(listed), Connector::new())
        .layer(count)
        .ejection(Ejection::default().time(brief))
        .failure_penalty(Duration::from_millis(100))
        .latency_memory(Duration::from_millis(500))
        .start();
    replicas.ready().await?;

    let stack = ServiceBuilder::new()
        .layer(LogLayer::new())
        .layer(TimeoutLayer::new(Duration::from_secs(10)).kept_below())
        .layer(RetryLayer::default())
        .layer(BalanceLayer::default())
        .service(replicas.clone());
    let tally = Arc::new(Tally::default());
    for _ in 0..CALLERS {
        let (mut client, tally) = (Client::new(stack.clone()), tally.clone());
        tokio::spawn(async move {
            loop {
                let answer: Result<String, _> = client.call("Work", "x").idempotent(true).await;
                tally.add(answer.err());
            }
        });
    }

    let mut watch = Watch {
        replicas,
        given,
        tally,
        names: BTreeMap::new(),
    };
    watch.names = house.names();
    watch.head();
    let all = ["a", "b", "c"];
    watch.stage("all are well", &[], &all).await?;

    house.servers["a"].handle.close().await;
    watch.gone("a").await?;
    watch.stage("a was killed", &["a"], &["b", "c"]).await?;
    house.open("a").await?;
    watch.back("a").await?;
    watch.stage("a is back", &[], &all).await?;

    house.servers["b"].handle.drain().await;
    watch.gone("b").await?;
    watch.stage("b was drained", &["b"], &["a", "c"]).await?;
    house.open("b").await?;
    watch.back("b").await?;
    watch.stage("b is back", &[], &all).await?;

    house.open("d").await?;
    watch.names = house.names();
    list.send(house.targets()?).await?;
    watch.back("d").await?;
    let all = ["a", "b", "c", "d"];
    watch.stage("d was added", &[], &all).await?;

    for (mood, stage) in [(SLOW, "c is slow"), (REFUSING, "c refuses")] {
        house.servers["c"].mood.store(mood, Relaxed);
        watch.stage(stage, &[], &["a", "b", "d"]).await?;
        house.servers["c"].mood.store(WELL, Relaxed);
        watch.recovered("c").await?;
        watch.stage("c is well again", &[], &all).await?;
    }

    println!("{} calls, none failed", watch.tally.calls.load(Relaxed));
    Ok(())
}

/// The servers.
#[derive(Default)]
struct House {
    servers: BTreeMap<&'static str, Door>,
}

struct Door {
    handle: ServerHandle,
    mood: Arc<AtomicU8>,
}

impl House {
    /// Starts a server, where it was if it has been there before.
    async fn open(&mut self, name: &'static str) -> Result<(), Error> {
        let endpoint = match self.servers.get(name) {
            Some(door) => door.handle.address().to_string(),
            None => "tcp://127.0.0.1:0".to_owned(),
        };
        let server = Server::bind(endpoint).await?;
        let (handle, mood) = (server.handle(), Arc::new(AtomicU8::new(WELL)));
        let told = mood.clone();
        tokio::spawn(server.serve(service_fn(move |request| work(request, told.load(Relaxed)))));
        self.servers.insert(name, Door { handle, mood });
        Ok(())
    }

    fn targets(&self) -> Result<Vec<Target<Endpoint>>, Failure> {
        let doors = self.servers.values();
        let endpoints = doors.map(|door| Ok(Endpoint::try_from(door.handle.address())?.into()));
        endpoints.collect()
    }

    /// Names by address.
    fn names(&self) -> BTreeMap<String, &'static str> {
        let doors = self.servers.iter();
        doors
            .map(|(name, door)| (door.handle.address().to_string(), *name))
            .collect()
    }
}

async fn work(request: Request, mood: u8) -> Result<Response, Error> {
    match mood {
        REFUSING => return Err(Error::new(Kind::Unavailable, "not in the mood")),
        SLOW => sleep(100 * WORK).await,
        _ => sleep(WORK).await,
    }
    Ok(Response::new(request.into_body()))
}

/// How many calls each address was given.
#[derive(Clone, Default)]
struct Given(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Given {
    fn of(&self, address: &str) -> Arc<AtomicU64> {
        let mut counts = self.0.lock().expect("no holder panics");
        counts.entry(address.to_owned()).or_default().clone()
    }

    fn now(&self, names: &BTreeMap<String, &'static str>) -> BTreeMap<&'static str, u64> {
        let each = names.iter();
        each.map(|(address, name)| (*name, self.of(address).load(Relaxed)))
            .collect()
    }
}

/// What the callers have seen.
#[derive(Default)]
struct Tally {
    calls: AtomicU64,
    failed: AtomicU64,
    first: Mutex<Option<Error>>,
}

impl Tally {
    fn add(&self, error: Option<Error>) {
        self.calls.fetch_add(1, Relaxed);
        if let Some(error) = error {
            self.failed.fetch_add(1, Relaxed);
            let mut first = self.first.lock().expect("no holder panics");
            first.get_or_insert(error);
        }
    }
}

/// Looks, tells, and complains.
struct Watch<S> {
    replicas: Replicas<S>,
    given: Given,
    tally: Arc<Tally>,
    names: BTreeMap<String, &'static str>,
}

impl<S> Watch<S> {
    fn head(&self) {
        println!(
            "{:16} {:>7} {:>6}   a              b              c              d",
            "", "calls", "failed"
        );
    }

    /// Watches for a while: `none` are not called at all, and all but the `busy` hardly.
    async fn stage(&self, what: &str, none: &[&str], busy: &[&str]) -> Result<(), Failure> {
        let (before, calls) = (self.given.now(&self.names), self.tally.calls.load(Relaxed));
        sleep(STAGE).await;
        let now = self.given.now(&self.names);
        let calls = self.tally.calls.load(Relaxed) - calls;
        let failed = self.tally.failed.load(Relaxed);
        print!("{what:16} {calls:7} {failed:6}");
        let mut wrong = Vec::new();
        for (name, count) in &now {
            let count = count - before[name];
            let share = 100.0 * count as f64 / calls.max(1) as f64;
            print!("   {share:4.1} % {:6}", self.state(name));
            let least = 50.0 / busy.len() as f64;
            if none.contains(name) && count > 0 {
                wrong.push(format!(
                    "{name} was called {count} times though it was gone"
                ));
            } else if busy.contains(name) && share < least {
                wrong.push(format!("{name} has less than {least:.1} % of the calls"));
            } else if !busy.contains(name) && share > LITTLE {
                wrong.push(format!("{name} has more than {LITTLE} % of the calls"));
            }
        }
        println!();
        if let Some(error) = self.tally.first.lock().expect("no holder panics").take() {
            wrong.push(format!(
                "{failed} calls have failed, the first with: {error}"
            ));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("{what}: {}", wrong.join("; ")).into()),
        }
    }

    async fn gone(&self, name: &str) -> Result<(), Failure> {
        let gone = self.until(format!("{name} is missed"), || self.state(name) != "live");
        gone.await?;
        // Who was choosing at that moment has chosen.
        sleep(Duration::from_millis(10)).await;
        Ok(())
    }

    /// Connected, and known: a replica without a past looks faster than it is for its first few calls.
    async fn back(&self, name: &str) -> Result<(), Failure> {
        let back = self.until(format!("{name} is back"), || self.state(name) == "live");
        back.await?;
        sleep(STAGE / 5).await;
        Ok(())
    }

    /// Waits until a replica has its part of the calls again.
    async fn recovered(&self, name: &str) -> Result<(), Failure> {
        let recovery = async {
            loop {
                let before = self.given.now(&self.names);
                sleep(STAGE / 5).await;
                let now = self.given.now(&self.names);
                let all: u64 = now.iter().map(|(name, count)| count - before[name]).sum();
                if (now[name] - before[name]) * 5 > all {
                    return;
                }
            }
        };
        let recovered = timeout(5 * STAGE, recovery).await;
        recovered.map_err(|_| format!("{name} has not recovered").into())
    }

    async fn until(&self, what: String, is: impl Fn() -> bool) -> Result<(), Failure> {
        let wait = async {
            while !is() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = timeout(3 * STAGE, wait).await;
        waited.map_err(|_| format!("waited in vain until {what}").into())
    }

    fn state(&self, name: &str) -> String {
        let endpoints = self.replicas.endpoints();
        let mut named = endpoints
            .iter()
            .filter(|one| self.names.get(one.address()) == Some(&name));
        let state = named.next().map(|one| one.state());
        state.map_or_else(|| "unknown".to_owned(), |state: State| state.to_string())
    }
}
