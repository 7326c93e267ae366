//! Members by chance, each as often as its share says.

use super::{Permutation, p2c::now};
use crate::{Context, moment::Moment, replicas::Member};

/// Members one after the other, each as long as its share: of the points of this line, each has as many as it should have
/// of the calls.
pub(super) struct Line<'a> {
    members: &'a [Member],
    /// Of a call that has tried some: these have no place.
    cx: Option<&'a Context>,
    now: Moment,
    length: u64,
}

impl<'a> Line<'a> {
    /// All of them, for a call that began at `now`.
    pub(super) fn of(members: &'a [Member], now: Moment) -> Self {
        Self::new(members, None, now)
    }

    /// Those that the call has not tried, or all, if it has tried all.
    pub(super) fn untried(members: &'a [Member], cx: &'a Context) -> Self {
        let now = now(cx);
        if cx.tried().is_empty() {
            return Self::of(members, now);
        }
        let untried = Self::new(members, Some(cx), now);
        match untried.length {
            0 => Self::of(members, now),
            _ => untried,
        }
    }

    fn new(members: &'a [Member], cx: Option<&'a Context>, now: Moment) -> Self {
        let mut line = Self {
            members,
            cx,
            now,
            length: 0,
        };
        line.length = members.iter().map(|member| line.share(member)).sum();
        line
    }

    /// Two places by chance, which follows from the call and its attempt: perhaps the same.
    pub(super) fn pair(&self, cx: &Context) -> (usize, usize) {
        let first = cx.attempt() as usize * 2;
        let order = Permutation::of(cx, self.members.len());
        let draw = |position| self.place(order.chance(position));
        (draw(first), draw(first + 1))
    }

    /// The place of the member at a point: 0 is the beginning, and 2⁶⁴ would be the end.
    pub(super) fn place(&self, point: u64) -> usize {
        let mut rest = ((u128::from(point) * u128::from(self.length)) >> 64) as u64;
        let hit = self.members.iter().position(|member| {
            let share = self.share(member);
            let hit = rest < share;
            rest = rest.wrapping_sub(share);
            hit
        });
        // None is hit only where one has gone live anew since its share was added.
        hit.unwrap_or_default()
    }

    /// In thousandths: whole numbers, so that the members end where the line does.
    fn share(&self, member: &Member) -> u64 {
        match self.cx {
            Some(cx) if member.was_tried(cx) => 0,
            _ => (member.share_at(self.now) * 1000.0) as u64,
        }
    }
}
