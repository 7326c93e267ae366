//! What one line of a table is about.

use crate::cli::Cli;
use crate::load::stack;
use crate::peers::Subject;
use crate::peers::settings::{SETTINGS, Setting};
use crate::workload::{Shape, Workload};

/// Who is measured.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entrant {
    /// A peer, in two processes.
    Peer(Subject),
    /// The peer `bare` with a setting of its own.
    Setting(&'static Setting),
    /// A stack of layers, in one.
    Stack(&'static str),
}

impl Entrant {
    /// All that a workload compares. Stacks and settings are not chosen by `--peers`.
    pub(super) fn of(cli: &Cli, workload: &Workload) -> Vec<Self> {
        if workload.shape == Shape::Stack {
            return stack::names().map(Self::Stack).collect();
        }
        if workload.shape == Shape::Settings {
            return SETTINGS.iter().map(Self::Setting).collect();
        }
        let asked = cli.peers.iter().copied();
        asked
            .filter(|peer| peer.takes_part(workload))
            .map(Self::Peer)
            .collect()
    }

    /// The name in tables and rows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Peer(peer) => peer.name(),
            Self::Setting(setting) => setting.name,
            Self::Stack(name) => name,
        }
    }

    /// Whether there are figures to be had. Its rows are null if not.
    pub(super) fn runs(self, workload: &Workload) -> bool {
        match self {
            Self::Peer(peer) => peer.runs(workload),
            Self::Setting(_) | Self::Stack(_) => true,
        }
    }
}
