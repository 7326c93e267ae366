//! Which of a host's addresses answers first.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;

/// How long one address is given before the next is tried beside it: what RFC 8305 recommends.
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses that are tried. A name with more is served well enough by these, and one that announces thousands
/// does not make a client open a socket to each.
const MAX_TRIED: usize = 32;

/// Why no address could be had.
#[derive(Debug)]
pub(super) struct Unreached {
    /// The address that failed last.
    pub(super) address: SocketAddr,
    pub(super) error: io::Error,
}

/// Connects to the first of these addresses that answers: the families take turns, and each address has a head start
/// over the next until it fails. Nothing, if there are none. The others are dropped.
pub(super) async fn race<C, F, T>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    mut connect: C,
) -> Option<Result<(T, SocketAddr), Unreached>>
where
    C: FnMut(SocketAddr) -> F,
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = interleaved(addresses).into_iter();
    let mut tried = Vec::new();
    let mut last = None;
    let mut stagger = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        // Each turn tries an address, or is the last.
        loop {
            let mut failed = false;
            let mut at = 0;
            while at < tried.len() {
                let (address, attempt): &mut (SocketAddr, Pin<Box<F>>) = &mut tried[at];
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Some(Ok((stream, *address)))),
                    Poll::Ready(Err(error)) => {
                        let address = *address;
                        last = Some(Unreached { address, error });
                        failed = true;
                        drop(tried.remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            let due = failed || tried.is_empty() || stagger.as_mut().poll(cx).is_ready();
            match due.then(|| waiting.next()).flatten() {
                Some(address) => {
                    tried.push((address, Box::pin(connect(address))));
                    stagger.set(sleep(STAGGER));
                }
                None if tried.is_empty() => return Poll::Ready(last.take().map(Err)),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// The addresses with their families in turn, that of the first one first.
fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<_> = addresses.into_iter().collect();
    let first = addresses.first().map(SocketAddr::is_ipv6);
    let (mut ours, mut others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| Some(address.is_ipv6()) == first);
    let mut merged = Vec::new();
    ours.reverse();
    others.reverse();
    while merged.len() < MAX_TRIED && (!ours.is_empty() || !others.is_empty()) {
        merged.extend(ours.pop());
        merged.extend(others.pop());
    }
    merged.truncate(MAX_TRIED);
    merged
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::pending};

    use tokio::time::Instant;

    use super::*;

    const V6: [&str; 3] = ["[::1]:1", "[::2]:1", "[::3]:1"];
    const V4: [&str; 2] = ["1.1.1.1:1", "2.2.2.2:1"];

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Races addresses that take so many milliseconds, to succeed, to fail or, for none, for ever. What came of
    /// it, and when each was tried.
    async fn run(
        script: &[(&str, Result<u64, u64>)],
    ) -> (Option<Result<String, String>>, Vec<u128>) {
        let began = Instant::now();
        let tried = RefCell::new(Vec::new());
        let connect = |address: SocketAddr| {
            tried.borrow_mut().push(began.elapsed().as_millis());
            let step = script.iter().find(|(text, _)| *text == address.to_string());
            let step = step.unwrap().1;
            async move {
                match step {
                    Ok(u64::MAX) => pending().await,
                    Ok(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Ok(())
                    }
                    Err(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Err(io::ErrorKind::ConnectionRefused.into())
                    }
                }
            }
        };
        let texts: Vec<_> = script.iter().map(|(text, _)| *text).collect();
        let won = race(addresses(&texts), connect).await;
        let won = won.map(|won| match won {
            Ok(((), address)) => Ok(address.to_string()),
            Err(unreached) => Err(unreached.address.to_string()),
        });
        (won, tried.into_inner())
    }

    #[test]
    fn families_take_turns_from_that_of_the_first() {
        let merged = interleaved(addresses(&[V6, [V4[0], V4[1], V6[0]]].concat()));
        let expected = [V6[0], V4[0], V6[1], V4[1], V6[2], V6[0]];
        assert_eq!(merged, addresses(&expected));
        assert!(interleaved([]).is_empty());
    }

    #[test]
    fn a_name_with_very_many_addresses_has_so_many_tried() {
        let many = (0..1000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(interleaved(many).len(), MAX_TRIED);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_answers_in_time_is_the_only_one_tried() {
        let (won, tried) = run(&[(V6[0], Ok(249)), (V4[0], Ok(0))]).await;
        assert_eq!((won, tried), (Some(Ok(V6[0].into())), vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_silent_address_the_next_of_the_other_family_wins() {
        let script = [(V6[0], Ok(u64::MAX)), (V6[1], Ok(u64::MAX)), (V4[0], Ok(5))];
        let (won, tried) = run(&script).await;
        assert_eq!(won, Some(Ok(V4[0].into())));
        assert!(tried.len() == 2 && tried[1] >= 250, "{tried:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_still_wins_if_the_later_ones_are_slower() {
        let (won, _) = run(&[(V6[0], Ok(300)), (V4[0], Ok(100))]).await;
        assert_eq!(won, Some(Ok(V6[0].into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_brings_the_next_at_once_and_the_last_one_is_told() {
        let (won, tried) = run(&[(V6[0], Err(0)), (V4[0], Err(0)), (V6[1], Err(0))]).await;
        assert_eq!(won, Some(Err(V6[1].into())));
        assert!(tried.len() == 3 && tried[2] < 250, "{tried:?}");
    }

    #[tokio::test]
    async fn without_addresses_there_is_nothing() {
        assert_eq!(run(&[]).await, (None, vec![]));
    }
}
