//! The resolvers that ship, each used by itself.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::stream;
use steeple_layers::resolve::{
    Change, Fixed, Polled, Resolution, Resolver, Streamed, Subset, Target, Version,
};
use tokio::time::Instant;

use crate::support::{settle, soon};

const SECOND: Duration = Duration::from_secs(1);

fn endpoints<T: Clone>(resolution: &Resolution<T>) -> Vec<T> {
    resolution
        .targets()
        .iter()
        .map(|target| target.endpoint().clone())
        .collect()
}

/// What a look-up answers, in turn, the last for ever.
fn polled(answers: Vec<Vec<&'static str>>) -> Polled<&'static str> {
    let answers = Arc::new(Mutex::new(answers));
    Polled::new(move || {
        let mut answers = answers.lock().unwrap();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        };
        async move { Ok(answer.into_iter().map(Target::new).collect()) }
    })
    .interval(SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_polled_resolver_answers_when_there_is_news() {
    let resolver = polled(vec![
        vec!["a", "b"],
        vec!["b", "a"],
        vec!["b", "a"],
        vec!["c"],
    ]);
    let begun = Instant::now();
    let first = resolver.resolve(None).await.unwrap();
    assert_eq!(endpoints(&first), ["a", "b"]);
    let second = soon(resolver.resolve(first.version())).await.unwrap();
    assert_eq!(endpoints(&second), ["c"]);
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_suddenly_empty_is_not_believed_for_a_while() {
    let resolver =
        polled(vec![vec!["a"], vec![], vec![], vec!["b"], vec![]]).hold_empty(10 * SECOND);
    let first = resolver.resolve(None).await.unwrap();
    let second = soon(resolver.resolve(first.version())).await.unwrap();
    assert_eq!(endpoints(&second), ["b"]);
    let begun = Instant::now();
    let third = soon(resolver.resolve(second.version())).await.unwrap();
    assert!(endpoints(&third).is_empty());
    assert_eq!(begun.elapsed().as_secs(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_changes_is_followed() {
    let changes = [
        Change::Insert("a".into()),
        Change::Insert("b".into()),
        Change::Insert(Target::new("a").with_weight(2)),
        Change::Remove("b"),
    ];
    let changes = stream::iter(changes.map(Ok::<_, Infallible>));
    let resolver = Streamed::changes(changes);
    let mut version = resolver.resolve(None).await.unwrap().version().cloned();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let next = soon(resolver.resolve(version.as_ref())).await.unwrap();
        seen.push(endpoints(&next));
        version = next.version().cloned();
    }
    assert_eq!(seen, [vec!["a"], vec!["a", "b"], vec!["a", "b"], vec!["a"]]);
    let now = resolver.resolve(None).await.unwrap();
    assert_eq!(now.targets()[0].weight(), 2);
    // After the end of the stream there is no news.
    let wait = tokio::time::timeout(SECOND, resolver.resolve(version.as_ref()));
    assert!(wait.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_becomes_empty_is_not_believed_for_a_while() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let sets = stream::unfold(receiver, async |mut receiver| {
        let set: Vec<&str> = receiver.recv().await?;
        let targets = set.into_iter().map(Target::new).collect();
        Some((Ok::<_, Infallible>(targets), receiver))
    });
    let resolver = Streamed::sets(sets).hold_empty(10 * SECOND);
    sender.send(vec!["a"]).unwrap();
    let empty = resolver.resolve(None).await.unwrap();
    let first = soon(resolver.resolve(empty.version())).await.unwrap();
    sender.send(vec![]).unwrap();
    sender.send(vec!["b"]).unwrap();
    let second = soon(resolver.resolve(first.version())).await.unwrap();
    assert_eq!(endpoints(&second), ["b"]);
    sender.send(vec![]).unwrap();
    let begun = Instant::now();
    let third = soon(resolver.resolve(second.version())).await.unwrap();
    assert_eq!((endpoints(&third).len(), begun.elapsed()), (0, 10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_all_who_ask_and_nobody_waits_for_what_is_known() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let sets = stream::unfold(receiver, async |mut receiver| {
        let set: Vec<&str> = receiver.recv().await?;
        let targets = set.into_iter().map(Target::new).collect();
        Some((Ok::<_, Infallible>(targets), receiver))
    });
    let resolver = Arc::new(Streamed::sets(sets).hold_empty(10 * SECOND));
    let none = resolver.resolve(None).await.unwrap();
    let ask = |after: &Resolution<&'static str>| {
        let (resolver, after) = (resolver.clone(), after.version().cloned());
        tokio::spawn(async move { resolver.resolve(after.as_ref()).await.unwrap() })
    };
    let (one, other) = (ask(&none), ask(&none));
    settle().await;
    assert_eq!(resolver.resolve(None).await.unwrap(), none);
    sender.send(vec!["a"]).unwrap();
    let first = soon(one).await.unwrap();
    assert_eq!(soon(other).await.unwrap(), first);

    // Who gives up while an empty set is not believed leaves the wait to the next.
    sender.send(vec![]).unwrap();
    let begun = Instant::now();
    let hasty = ask(&first);
    tokio::time::sleep(3 * SECOND).await;
    hasty.abort();
    settle().await;
    assert_eq!(resolver.resolve(None).await.unwrap(), first);
    let empty = soon(ask(&first)).await.unwrap();
    assert_eq!((endpoints(&empty).len(), begun.elapsed()), (0, 10 * SECOND));
}

#[tokio::test]
async fn the_lines_of_a_file_are_endpoints() {
    let path = std::env::temp_dir().join(format!("steeple-replicas-{}", std::process::id()));
    let resolver = Polled::<String>::file(&path).interval(Duration::from_millis(1));
    assert!(resolver.resolve(None).await.is_err());
    std::fs::write(&path, "one weight=2\n").unwrap();
    let first = resolver.resolve(None).await.unwrap();
    std::fs::write(&path, "one weight=2\ntwo\n").unwrap();
    let second = resolver.resolve(first.version()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        (endpoints(&first), endpoints(&second).len()),
        (vec!["one".to_owned()], 2)
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_sockets_of_a_directory_are_endpoints() {
    let path = std::env::temp_dir().join(format!("steeple-sockets-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("file"), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
    let resolver = Polled::directory(&path, |path| path.display().to_string());
    let found = resolver.resolve(None).await.unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(
        endpoints(&found),
        [path.join("socket").display().to_string()]
    );
}

#[tokio::test]
async fn a_host_name_resolves_by_the_system_to_its_addresses() {
    let resolver = Polled::dns("localhost:7000", |address| format!("localhost@{address}"));
    let found = endpoints(&resolver.resolve(None).await.unwrap());
    assert!(!found.is_empty());
    for endpoint in found {
        let loopback = ["localhost@127.0.0.1:7000", "localhost@[::1]:7000"];
        assert!(loopback.contains(&&*endpoint), "{endpoint}");
    }
}

#[tokio::test]
async fn a_subset_is_even_and_changes_little() {
    let names: Vec<_> = (0..20).map(|number| format!("server-{number}")).collect();
    let chosen = async |names: &[String], client: usize| {
        let resolver = Fixed::new(names.iter().cloned()).unwrap();
        let subset = Subset::new(resolver, 5, &format!("client-{client}"));
        let found = subset.resolve(None).await.unwrap();
        assert!(subset.is_constant() && found.version().is_none());
        endpoints(&found)
    };
    let mut counts = vec![0; 20];
    for client in 0..400 {
        let all = chosen(&names, client).await;
        let fewer = chosen(&names[1..], client).await;
        assert_eq!(all.len(), 5);
        let lost = all.iter().filter(|name| !fewer.contains(name)).count();
        assert_eq!(lost, usize::from(all.contains(&names[0])));
        for name in all {
            counts[names.iter().position(|known| *known == name).unwrap()] += 1;
        }
    }
    // A hundred each, and a deviation of about nine.
    assert!(
        counts.iter().all(|count| (60..140).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn versions_are_compared_and_nothing_else() {
    assert_eq!(Version::from(7), Version::from("7".to_owned()));
    assert_ne!(Version::missing(), Version::from(7));
}
