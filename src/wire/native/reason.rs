//! Reasons and their numbers, on CANCEL and GOAWAY.

use crate::wire::{Reason, numbers::reason};

pub(super) fn encode(value: Reason) -> u16 {
    match value {
        Reason::Ack => reason::ACK,
        Reason::Dropped => reason::DROPPED,
        Reason::Idle => reason::IDLE,
        Reason::Limit => reason::LIMIT,
        Reason::Now => reason::NOW,
        Reason::Protocol => reason::PROTOCOL,
        Reason::Refused => reason::REFUSED,
        Reason::Shutdown => reason::SHUTDOWN,
        Reason::Timeout => reason::TIMEOUT,
        Reason::Version => reason::VERSION,
        Reason::Other(number) => number,
    }
}

pub(super) fn decode(number: u16) -> Reason {
    match number {
        reason::ACK => Reason::Ack,
        reason::DROPPED => Reason::Dropped,
        reason::IDLE => Reason::Idle,
        reason::LIMIT => Reason::Limit,
        reason::NOW => Reason::Now,
        reason::PROTOCOL => Reason::Protocol,
        reason::REFUSED => Reason::Refused,
        reason::SHUTDOWN => Reason::Shutdown,
        reason::TIMEOUT => Reason::Timeout,
        reason::VERSION => Reason::Version,
        other => Reason::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives() {
        for number in 0..100 {
            assert_eq!(encode(decode(number)), number);
        }
        for number in 1..=10 {
            assert!(!matches!(decode(number), Reason::Other(_)), "{number}");
        }
    }
}
