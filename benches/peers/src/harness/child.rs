//! A started process, ended when the harness lets go of it.

use std::io::{BufRead, BufReader, Write};
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::control::Snapshot;
use crate::Error;

/// A process that says nothing for this long is ended: the slowest answer is the first, after thousands of connects.
const PATIENCE: Duration = Duration::from_secs(30);

/// A copy of this program in the role of a server or client.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    commands: ChildStdin,
    lines: Receiver<String>,
    /// The first line that it said.
    pub(super) hello: String,
}

impl Child {
    /// Starts this program with `args` and waits for its first line.
    pub(super) fn start(args: &[String]) -> Result<Self, Error> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = process.stdin.take().ok_or("no stdin")?;
        let stdout = process.stdout.take().ok_or("no stdout")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut child = Self {
            process,
            commands,
            lines,
            hello: String::new(),
        };
        child.hello = child.line()?;
        Ok(child)
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a command and waits for the snapshot that answers it.
    pub(super) fn ask(&mut self, command: &str) -> Result<Snapshot, Error> {
        writeln!(self.commands, "{command}")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> Result<String, Error> {
        self.lines
            .recv_timeout(PATIENCE)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => format!("a process said nothing for {PATIENCE:?}"),
                RecvTimeoutError::Disconnected => "a process ended".to_owned(),
            })
            .map_err(Error::from)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
