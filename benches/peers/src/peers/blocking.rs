//! Blocking threads and no callers, the peer `std`: how fast the sockets are when nothing has to be scheduled.
//!
//! One thread per connection keeps a fixed number of frames outstanding: it sends as many again as came back, in
//! one write. The server echoes all whole frames of a read in one write. Where more bytes are outstanding than the
//! socket buffers hold for certain, a second thread writes, or both sides could wait for the other to read.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use tokio::time::Instant;

use crate::harness::probe::Meter;
use crate::workload::Workload;

/// Bytes in front of the payload, as in the peer `raw`: a length and a number.
const HEAD: usize = 12;
/// At least this much is read at once.
const READ: usize = 64 * 1024;
/// Up to this many bytes outstanding, the thread that reads also writes.
const ONE_THREAD: usize = 512 * 1024;

/// The peer `std`.
#[derive(Debug)]
pub(crate) struct Blocking;

impl Blocking {
    /// Accepts and echoes until the process ends.
    pub(crate) fn serve(listener: &TcpListener, workload: Workload) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            thread::spawn(move || echo(stream, HEAD + workload.payload));
        }
    }

    /// Connects, and keeps `callers` frames outstanding until the process ends or the connection fails.
    pub(crate) fn load(addr: SocketAddr, workload: Workload, meter: &Meter) -> io::Result<()> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        let frame = HEAD + workload.payload;
        let requests = vec![0x5a; frame * workload.callers];
        let answers = vec![0; READ.max(requests.len())];
        let mut to = stream.try_clone()?;
        let mut write = move |frames| to.write_all(&requests[..frames * frame]);
        if frame * workload.callers <= ONE_THREAD {
            return exchange(&mut stream, answers, workload, meter, write);
        }
        let (sender, due) = mpsc::channel();
        thread::spawn(move || due.into_iter().try_for_each(&mut write));
        let hand_over = |frames| sender.send(frames).map_err(io::Error::other);
        exchange(&mut stream, answers, workload, meter, hand_over)
    }
}

/// Reads answers for ever, and has as many requests written as came back.
fn exchange(
    stream: &mut TcpStream,
    mut answers: Vec<u8>,
    workload: Workload,
    meter: &Meter,
    mut write: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<()> {
    let frame = HEAD + workload.payload;
    // Answers come in order, so the age of a whole write is the latency of its frames.
    let mut sent = VecDeque::from([(Instant::now(), workload.callers)]);
    let mut partial = 0;
    write(workload.callers)?;
    loop {
        let read = stream.read(&mut answers)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let whole = (partial + read) / frame;
        partial = (partial + read) % frame;
        if whole == 0 {
            continue;
        }
        let now = Instant::now();
        record(&mut sent, whole, now, meter);
        meter.add(whole as u64);
        sent.push_back((now, whole));
        write(whole)?;
    }
}

/// Takes `answered` frames from the front of the queue and records their age.
fn record(sent: &mut VecDeque<(Instant, usize)>, mut answered: usize, now: Instant, meter: &Meter) {
    while answered > 0
        && let Some((at, frames)) = sent.front_mut()
    {
        let taken = answered.min(*frames);
        meter.record(now - *at, taken as u64);
        answered -= taken;
        *frames -= taken;
        if *frames == 0 {
            sent.pop_front();
        }
    }
}

/// Sends the whole frames of each read back at once. What is cut stays for the next read.
fn echo(mut stream: TcpStream, frame: usize) -> io::Result<()> {
    let mut buf = vec![0; READ.max(2 * frame)];
    let mut held = 0;
    loop {
        let read = stream.read(&mut buf[held..])?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        let whole = held / frame * frame;
        stream.write_all(&buf[..whole])?;
        buf.copy_within(whole..held, 0);
        held -= whole;
    }
}
