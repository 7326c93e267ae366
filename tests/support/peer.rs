//! The other end of a connection, played by hand.

use steeple::{
    transport::mem::MemStream,
    wire::numbers::{kind, preface},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    frame::{Frame, hello, pong},
    soon,
};

/// The nonces of pings that the library sends behind chunks begin here; those below it are of others.
pub(crate) const FIRST_MARK: u32 = 1 << 31;

/// Plays one side of a connection, as a script of frames. What it waits for has to come.
#[derive(Debug)]
pub(crate) struct RawPeer {
    io: MemStream,
    input: Vec<u8>,
    /// What the other side has bound, by number from 1.
    bound: Vec<String>,
}

impl RawPeer {
    pub(crate) fn new(io: MemStream) -> Self {
        Self {
            io,
            input: Vec::new(),
            bound: Vec::new(),
        }
    }

    /// Opens this direction: the preface and a HELLO.
    pub(crate) async fn greet(&mut self) {
        self.write(&magic(preface::MAX_VERSION, preface::MIN_VERSION))
            .await;
        self.send(hello()).await;
    }

    /// Reads that the other side opens its direction.
    pub(crate) async fn expect_greeting(&mut self) -> Frame {
        self.expect_preface().await;
        let frame = self.frame().await;
        assert_eq!(frame.kind, kind::HELLO, "{frame:?}");
        frame
    }

    /// Both sides open.
    pub(crate) async fn shake_hands(&mut self) {
        self.greet().await;
        self.expect_greeting().await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon(self.io.write_all(bytes)).await.unwrap();
    }

    /// Writes while the other side may have closed. Whether it took all.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        soon(self.io.write_all(bytes)).await.is_ok()
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        self.write(&frame.encode()).await;
    }

    /// Sends frames in one write, so that they are read together.
    pub(crate) async fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let bytes: Vec<u8> = frames
            .into_iter()
            .flat_map(|frame| frame.encode())
            .collect();
        self.write(&bytes).await;
    }

    pub(crate) async fn expect_preface(&mut self) {
        let bytes = self.take(preface::LEN).await;
        assert_eq!(bytes, magic(preface::MAX_VERSION, preface::MIN_VERSION));
    }

    /// The next frame, whatever it is.
    pub(crate) async fn frame(&mut self) -> Frame {
        self.next()
            .await
            .expect("the connection ended where a frame is due")
    }

    /// The next frame, or the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(mut frame) = Frame::decode(&mut self.input) {
                self.resolve(&mut frame);
                return Some(frame);
            }
            if soon(self.io.read_buf(&mut self.input)).await.ok()? == 0 {
                assert!(self.input.is_empty(), "the connection ended within a frame");
                return None;
            }
        }
    }

    /// The next frame that says something to this side: not a BIND, which is taken note of, no PAD, and no mark
    /// behind a chunk, which is answered.
    pub(crate) async fn message(&mut self) -> Frame {
        loop {
            let frame = self.frame().await;
            match frame.kind {
                kind::BIND | kind::PAD => {}
                kind::PING if frame.aux >= FIRST_MARK => {
                    self.try_write(&pong(frame.aux).encode()).await;
                }
                _ => return frame,
            }
        }
    }

    /// Reads exactly this.
    pub(crate) async fn expect(&mut self, expected: Frame) {
        assert_eq!(self.message().await, expected);
    }

    /// Reads a request of this method.
    pub(crate) async fn expect_request(&mut self, method: &str) -> Frame {
        let frame = self.message().await;
        assert_eq!(frame.kind, kind::REQUEST, "{frame:?}");
        assert_eq!(frame.method.as_deref(), Some(method), "{frame:?}");
        frame
    }

    /// Reads the answer to a request.
    pub(crate) async fn expect_response(&mut self, id: u32) -> Frame {
        let frame = self.message().await;
        assert_eq!((frame.kind, frame.id), (kind::RESPONSE, id), "{frame:?}");
        frame
    }

    /// Reads a farewell for this reason, and gives its text.
    pub(crate) async fn expect_goaway(&mut self, reason: u16) -> String {
        let frame = self.message().await;
        assert_eq!(
            (frame.kind, frame.code),
            (kind::GOAWAY, reason),
            "{frame:?}"
        );
        String::from_utf8(frame.body).unwrap()
    }

    /// Reads the end, and nothing before it.
    pub(crate) async fn expect_eof(&mut self) {
        if let Some(frame) = self.next().await {
            panic!("expected the end, got {frame:?}");
        }
    }

    /// Reads whatever comes, to the end.
    pub(crate) async fn drink(&mut self) {
        self.input.clear();
        while soon(self.io.read_buf(&mut self.input))
            .await
            .is_ok_and(|bytes| bytes > 0)
        {
            self.input.clear();
        }
    }

    /// Nothing comes as long as nothing happens.
    pub(crate) async fn expect_silence(&mut self) {
        super::settle().await;
        let more = tokio::select! {
            biased;
            more = self.io.read_buf(&mut self.input) => Some(more.unwrap()),
            () = std::future::ready(()) => None,
        };
        let frame = Frame::decode(&mut self.input);
        assert!(
            more.is_none() && self.input.is_empty() && frame.is_none(),
            "{more:?} bytes, {frame:?}"
        );
    }

    /// Says that no more comes from this side.
    pub(crate) async fn shutdown(&mut self) {
        soon(self.io.shutdown()).await.unwrap();
    }

    /// Reads this many bytes, whatever they are.
    pub(crate) async fn take(&mut self, len: usize) -> Vec<u8> {
        while self.input.len() < len {
            let bytes = soon(self.io.read_buf(&mut self.input)).await.unwrap();
            assert!(bytes > 0, "the connection ended early");
        }
        self.input.drain(..len).collect()
    }

    /// Puts the name where a number stood for it.
    fn resolve(&mut self, frame: &mut Frame) {
        match frame.kind {
            kind::BIND => {
                assert_eq!(usize::from(frame.code), self.bound.len() + 1);
                let name = &frame.body[1..][..usize::from(frame.body[0])];
                self.bound.push(String::from_utf8(name.to_vec()).unwrap());
            }
            kind::REQUEST | kind::ONEWAY if frame.code > 0 => {
                frame.method = Some(self.bound[usize::from(frame.code) - 1].clone());
                frame.code = 0;
            }
            _ => {}
        }
    }
}

/// A preface with these versions.
pub(crate) fn magic(max: u8, min: u8) -> [u8; preface::LEN] {
    let [a, b, c, d, e, f] = preface::MAGIC;
    [a, b, c, d, e, f, max, min]
}
