//! The better of two.

use super::{Choice, Permutation, Pick, line::Line};
use crate::{Context, moment::Moment, replicas::Member};

/// Takes the cheaper of two replicas chosen at random, by latency and pending calls: the default.
///
/// The cost is a moving average of latencies that follows a slow call at once, times the pending calls. A replica that
/// should have [more calls](super#weights-and-slow-start) is compared more often. A failed call counts as a slow one, so
/// that a replica that refuses everything does not look like the fastest. Two choices are nearly as good as all, and no replica is flooded by everybody at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakEwma {}

/// Takes the replica with the fewer pending calls, by weight, of two chosen at random, by weight too.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastOfTwo {}

/// Takes the replica with the fewest pending calls, by weight, of all; of equals one by chance, by weight too.
///
/// It looks at every replica for each call, and where many clients do that at once, they flood the one that is
/// idle.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastPending {}

/// Takes a replica by chance, whatever its weight, and in a slow start as often as any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random {}

impl Pick for PeakEwma {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        better_of_two(members, cx, Member::cost_at)
    }
}

impl Pick for LeastOfTwo {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        better_of_two(members, cx, Member::crowd_at)
    }
}

impl Pick for LeastPending {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        let now = now(cx);
        let order = Permutation::of(cx, members.len());
        let attempt = cx.attempt() as usize;
        let first = match members[0].is_even(now) {
            true => untried(members, cx, order.place(attempt)),
            false => Line::untried(members, cx).place(order.chance(attempt)),
        };
        // From a random place on, so that of equals each has its turn.
        let places = (first..members.len()).chain(0..first);
        let places = places.filter(|place| *place == first || !members[*place].was_tried(cx));
        let crowds = places.map(|place| (place, members[place].crowd_at(now)));
        let least = crowds.min_by(|(_, one), (_, other)| one.total_cmp(other));
        Choice::Member(least.map_or(first, |(place, _)| place))
    }
}

impl Pick for Random {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        let place = Permutation::of(cx, members.len()).place(cx.attempt() as usize);
        Choice::Member(untried(members, cx, place))
    }
}

/// Of the pair that belongs to the attempt, the one where `cost` is less.
pub(super) fn better_of_two(
    members: &[Member],
    cx: &Context,
    cost: fn(&Member, Moment) -> f32,
) -> Choice {
    if members.len() == 1 {
        return Choice::Member(0);
    }
    let now = now(cx);
    let (one, other) = match cx.attempt() {
        _ if !members[0].is_even(now) => Line::untried(members, cx).pair(cx),
        0 => Permutation::of(cx, members.len()).pair(0),
        _ => another_pair(members, cx),
    };
    if one == other {
        return Choice::Member(one);
    }
    let other_is_better = cost(&members[other], now) < cost(&members[one], now);
    Choice::Member(if other_is_better { other } else { one })
}

/// The place, or if the call has tried that one, the next that it has not; the place all the same, if it has tried all.
pub(super) fn untried(members: &[Member], cx: &Context, place: usize) -> usize {
    if cx.tried().is_empty() {
        return place;
    }
    let places = (place..members.len()).chain(0..place);
    let mut untried = places.filter(|place| !members[*place].was_tried(cx));
    untried.next().unwrap_or(place)
}

/// What another attempt compares: two that the call has not tried, first of those that no attempt has looked at. The same
/// twice, if only one is left.
fn another_pair(members: &[Member], cx: &Context) -> (usize, usize) {
    let order = Permutation::of(cx, members.len());
    let mut untried = order
        .places_from(cx.attempt() as usize * 2)
        .filter(|place| !members[*place].was_tried(cx));
    match (untried.next(), untried.next()) {
        (Some(one), other) => (one, other.unwrap_or(one)),
        (None, _) => order.pair(cx.attempt()),
    }
}

/// When the call began, which is near enough.
pub(super) fn now(cx: &Context) -> Moment {
    match cx.started_moment() {
        Moment::NONE => Moment::now(),
        started => started,
    }
}
