//! When to let others add to the output before it is taken away.

/// Others are let go first while that saves writes, and no longer.
///
/// A turn that answers many callers wakes them all, and each may call again at once. On this thread they have
/// all done so when the task's turn comes round; on another they may need longer. So the task waits for as
/// many calls as there were, but only while the output grows.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// How often others have gone first, since the last output was taken away.
    yields: u32,
    /// How long the output was before the last time.
    len: usize,
    /// How many calls there were before callers were answered.
    calls: usize,
}

/// What may yet be added to the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Company {
    /// Calls of this side without an answer.
    pub(super) calls: usize,
    /// Handlers that run in tasks.
    pub(super) handlers: usize,
}

/// How often others are let go before one output. They have most often added all they have after the first
/// time; each further one costs less than a tenth of the write that it may save.
const MAX_YIELDS: u32 = 8;

impl Gather {
    /// Callers are about to be answered, of so many calls.
    pub(super) fn answering(&mut self, calls: usize) {
        self.calls = self.calls.max(calls);
    }

    /// Whether others go first although there is no output: several callers were `answered`. The first of them
    /// to call would else wake this task in front of the others.
    pub(super) fn before(&mut self, answered: usize) -> bool {
        let yields = answered > 1 && self.yields == 0;
        self.yields = u32::from(yields);
        self.len = 0;
        yields
    }

    /// Whether others go first, and may add to an output of `len` bytes.
    pub(super) fn more(&mut self, len: usize, company: Company) -> bool {
        let missing = company.calls < self.calls || company.handlers > 0;
        let grown = self.yields == 0 || missing && len > self.len;
        let alone = company.calls + company.handlers <= 1;
        let yields = grown && !alone && self.yields < MAX_YIELDS;
        self.yields += u32::from(yields);
        self.len = len;
        yields
    }

    /// The output was taken away.
    pub(super) fn taken(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: usize) -> Company {
        Company { calls, handlers: 0 }
    }

    #[test]
    fn a_call_that_is_alone_waits_for_nobody() {
        let mut gather = Gather::default();
        gather.answering(1);
        assert!(!gather.before(1));
        assert!(!gather.more(80, calls(1)));
    }

    #[test]
    fn callers_that_were_answered_go_first_once() {
        let mut gather = Gather::default();
        gather.answering(64);
        assert!(gather.before(64));
        assert!(!gather.more(64 * 80, calls(64)), "all have called again");
    }

    #[test]
    fn those_who_are_late_are_waited_for_while_others_come() {
        let mut gather = Gather::default();
        gather.answering(64);
        assert!(gather.before(64));
        assert!(gather.more(80, calls(1 + 2)));
        assert!(gather.more(160, calls(4)));
        assert!(!gather.more(160, calls(4)), "nobody came");
    }

    #[test]
    fn answered_callers_who_do_not_call_again_hold_nothing_up() {
        let mut gather = Gather::default();
        gather.answering(64);
        assert!(gather.before(64));
        assert!(!gather.before(0));
        gather.answering(2);
        assert!(gather.before(2), "it begins anew");
    }

    #[test]
    fn calls_that_come_by_themselves_share_an_output() {
        let mut gather = Gather::default();
        assert!(gather.more(160, calls(2)));
        assert!(!gather.more(240, calls(3)), "nobody is missing");
    }

    #[test]
    fn handlers_in_tasks_are_waited_for_while_they_answer() {
        let mut gather = Gather::default();
        let company = Company {
            calls: 0,
            handlers: 9,
        };
        let times = (1..).take_while(|len| gather.more(*len, company)).count();
        assert_eq!(times, MAX_YIELDS as usize);
        gather.taken();
        assert!(gather.more(1, company));
    }
}
