//! Requests of the peer that wait until the service is ready.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{job::Reply, options::Options};
use crate::{Body, Error, Execution, Kind, Metadata, Request};

/// A queue, bounded in requests and bytes, from the middle of which a request can be taken back.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: VecDeque<Entry>,
    /// How many of the entries still wait.
    len: usize,
    bytes: usize,
    last: Serial,
    max_len: usize,
    max_bytes: usize,
}

/// Names a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Serial(u64);

#[derive(Debug)]
struct Entry {
    serial: Serial,
    bytes: usize,
    /// Empty if it was taken back.
    request: Option<(Reply, Request<Body>)>,
}

/// Bodies shorter than this are copied when they begin to wait.
const OWN_BELOW: usize = 1024;

impl Waiting {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            queue: VecDeque::new(),
            len: 0,
            bytes: 0,
            last: Serial(0),
            max_len: options.max_waiting,
            max_bytes: options.max_waiting_bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that all of them hold, about, with what it takes to keep them.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.queue.len() * size_of::<Entry>()
    }

    /// Adds a request behind the others.
    ///
    /// # Errors
    /// If there is no room: the reply that is owed, and the error that names the limit.
    pub(super) fn push(
        &mut self,
        reply: Reply,
        mut request: Request<Body>,
    ) -> Result<Serial, (Reply, Error)> {
        own(request.body_mut());
        let bytes = weight(&request);
        // One may always wait, or a long one could never be served where it has to.
        let is_full = self.len > 0 && self.bytes.saturating_add(bytes) > self.max_bytes;
        if self.len >= self.max_len || is_full {
            let (len, bytes) = (self.max_len, self.max_bytes);
            let text = format!("max_waiting of {len} requests or {bytes} bytes is reached");
            let error = Error::new(Kind::Overflow, text);
            return Err((reply, error.with_execution(Execution::NotStarted)));
        }
        self.last.0 += 1;
        self.len += 1;
        self.bytes += bytes;
        self.queue.push_back(Entry {
            serial: self.last,
            bytes,
            request: Some((reply, request)),
        });
        Ok(self.last)
    }

    /// Takes the request out that has waited longest.
    pub(super) fn pop(&mut self) -> Option<(Reply, Request<Body>)> {
        while let Some(entry) = self.queue.pop_front() {
            if let Some(request) = entry.request {
                self.len -= 1;
                self.bytes -= entry.bytes;
                self.close_holes();
                return Some(request);
            }
        }
        None
    }

    /// Takes a request back, wherever it is.
    pub(super) fn remove(&mut self, serial: Serial) {
        let Ok(at) = self
            .queue
            .binary_search_by_key(&serial, |entry| entry.serial)
        else {
            return;
        };
        let entry = &mut self.queue[at];
        if entry.request.take().is_some() {
            self.len -= 1;
            self.bytes -= entry.bytes;
        }
        self.close_holes();
    }

    /// Drops all of them.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        (self.len, self.bytes) = (0, 0);
    }

    /// Drops the entries that were taken back, once they are half of all: so that it costs no more than adding
    /// them did.
    fn close_holes(&mut self) {
        if self.queue.len() >= 2 * self.len {
            self.queue.retain(|entry| entry.request.is_some());
        }
    }
}

/// Makes the memory of a short body its own: it may be a piece of what many messages share, all of which it would
/// hold while it waits.
fn own(body: &mut Body) {
    if body.len() < OWN_BELOW {
        body.replace_bytes(Bytes::copy_from_slice(body.as_bytes()));
    }
}

/// The bytes that a request holds while it waits, about.
fn weight(request: &Request<Body>) -> usize {
    let entries = request.metadata().iter();
    let entries = entries.map(|(name, value)| Metadata::ENTRY + name.len() + value.len());
    request.body().len() + entries.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Encoding;

    fn request(len: usize) -> Request<Body> {
        Request::new("m", Body::from(vec![0; len]))
    }

    #[test]
    fn a_request_that_weighs_too_much_is_refused_and_weighs_nothing() {
        let mut waiting = Waiting::new(&Options::new().max_waiting(10, 100));
        let mut heavy = request(1);
        heavy.metadata_mut().insert("name", vec![0; 100]);
        waiting.push(Reply::Nobody(0), request(1)).unwrap();
        let (_, error) = waiting.push(Reply::Nobody(0), heavy).unwrap_err();
        assert_eq!(
            (error.kind(), error.execution()),
            (Kind::Overflow, Execution::NotStarted)
        );
        waiting.push(Reply::Nobody(0), request(99)).unwrap();
    }

    #[test]
    fn a_short_body_that_waits_holds_no_memory_of_others() {
        let shared = Bytes::from(vec![7; 4096]);
        let mut waiting = Waiting::new(&Options::new().max_waiting(10, 100));
        let body = Body::encoded(shared.slice(100..150), Encoding::new(64));
        waiting
            .push(Reply::Nobody(0), Request::new("m", body))
            .unwrap();
        assert!(shared.is_unique());
        let (_, request) = waiting.pop().unwrap();
        let body = request.body();
        assert_eq!(
            (&body.as_bytes()[..], body.encoding()),
            (&[7; 50][..], Encoding::new(64))
        );
    }

    #[test]
    fn one_request_may_wait_whatever_it_weighs() {
        let mut waiting = Waiting::new(&Options::new().max_waiting(10, 100));
        waiting.push(Reply::Nobody(0), request(1000)).unwrap();
        waiting.push(Reply::Nobody(0), request(1)).unwrap_err();
    }

    #[test]
    fn holes_behind_requests_that_leave_are_closed_too() {
        let mut waiting = Waiting::new(&Options::new());
        let serials = [(); 8].map(|()| waiting.push(Reply::Nobody(0), request(0)).unwrap());
        for serial in &serials[5..] {
            waiting.remove(*serial);
        }
        for _ in 0..4 {
            waiting.pop().unwrap();
        }
        assert_eq!((waiting.len(), waiting.queue.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn it_is_a_queue_with_holes(steps in prop::collection::vec((0..3u8, 0..20usize), 0..200)) {
            let mut waiting = Waiting::new(&Options::new().max_waiting(8, 60));
            let mut model: Vec<(Serial, usize)> = Vec::new();
            for (step, number) in steps {
                let bytes: usize = model.iter().map(|(_, len)| len).sum();
                match step {
                    0 => {
                        let fits = model.len() < 8 && bytes + number <= 60;
                        let pushed = waiting.push(Reply::Nobody(0), request(number));
                        prop_assert_eq!(pushed.is_ok(), fits);
                        model.extend(pushed.ok().map(|serial| (serial, number)));
                    }
                    1 => {
                        let first = (!model.is_empty()).then(|| model.remove(0).1);
                        let popped = waiting.pop().map(|(_, request)| request.body().len());
                        prop_assert_eq!(popped, first);
                    }
                    _ if model.is_empty() => waiting.remove(Serial(number as u64)),
                    _ => {
                        let (serial, _) = model.remove(number % model.len());
                        waiting.remove(serial);
                        waiting.remove(serial);
                    }
                }
                prop_assert_eq!(waiting.len(), model.len());
                prop_assert!(waiting.queue.len() <= 2 * model.len());
            }
        }
    }
}
