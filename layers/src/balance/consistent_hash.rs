//! The same replica for the same key.

use super::{Choice, Pick, p2c};
use crate::{Context, mix::mix, moment::Moment, replicas::Member};

/// Sends calls of one [shard key](Context::shard_key) to one replica, as long as it is there and not
/// overloaded.
///
/// Each replica has a random score for each key, and the key goes to the highest. So a replica that goes takes
/// only its own keys along, to all others evenly, and one that comes takes an even share of everybody's, in its slow start
/// one key after another. The scores depend on addresses and weights only: all clients agree, but in a slow start, which
/// each sees begin at its own time. A replica whose pending calls exceed `load_bound` times
/// the average is passed over for the next. Another attempt goes to the next, too.
///
/// A call without a key goes to the better of two. It looks at every replica for each call.
#[derive(Clone, Copy, Debug)]
pub struct ConsistentHash {
    load_bound: f32,
}

impl ConsistentHash {
    /// With a load bound of 1.25.
    pub fn new() -> Self {
        Self { load_bound: 1.25 }
    }

    /// How many times the average of the pending calls a replica may have, by weight; at least 1.
    /// Infinity never passes one over.
    #[must_use]
    pub fn load_bound(mut self, times: f32) -> Self {
        self.load_bound = times.max(1.0);
        self
    }
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self::new()
    }
}

impl Pick for ConsistentHash {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        let Some(key) = cx.shard_key() else {
            return p2c::better_of_two(members, cx, Member::cost_at);
        };
        let now = p2c::now(cx);
        let totals = members
            .iter()
            .map(|member| (member.pending(), member.share_at(now)));
        let (pending, shares) = totals.fold((0.0, 0.0), |(pending, shares), (calls, share)| {
            (pending + calls as f32, shares + share)
        });
        let most = (pending + 1.0) / shares * self.load_bound;
        let has_room = |member: &Member| {
            // With one call it is not overloaded, however small its share.
            let room = (most * member.share_at(now)).ceil().max(1.0);
            member.pending() as f32 + 1.0 <= room
        };
        // Each earlier attempt went to one with room; those that were not seen to go anywhere went to the next.
        let unseen = cx.attempt().saturating_sub(cx.tried().count());
        let mut skip = unseen as usize % members.len();
        let mut before = None;
        let (mut full, mut skipped, mut tried) = (None, None, None);
        while let Some((score, place)) = next_best(members, key, now, before) {
            if members[place].was_tried(cx) {
                tried.get_or_insert(place);
            } else if !has_room(&members[place]) {
                full.get_or_insert(place);
            } else if skip == 0 {
                return Choice::Member(place);
            } else {
                skipped.get_or_insert(place);
                skip -= 1;
            }
            before = Some((score, place));
        }
        // All that were not tried are over the bound: of these the one that it belongs to.
        Choice::Member(full.or(skipped).or(tried).unwrap_or_default())
    }
}

/// The member with the highest score for `key` after `before`, in the order of scores.
fn next_best(
    members: &[Member],
    key: u64,
    now: Moment,
    before: Option<(f32, usize)>,
) -> Option<(f32, usize)> {
    let scores = members
        .iter()
        .enumerate()
        .map(|(place, member)| (score(member, key, now), place));
    let is_after = |one: &(f32, usize)| before.is_none_or(|before| order(one, &before).is_lt());
    scores.filter(is_after).max_by(order)
}

fn order(one: &(f32, usize), other: &(f32, usize)) -> std::cmp::Ordering {
    one.0.total_cmp(&other.0).then(other.1.cmp(&one.1))
}

/// Weighted rendezvous hashing: of members with these scores, each has the highest as often as its share says.
fn score(member: &Member, key: u64, now: Moment) -> f32 {
    let word = mix(member.hash() ^ mix(key));
    // 24 bits are what an `f32` holds; from above 0 to below 1.
    let chance = ((word >> 40) as f32 + 0.5) / (1 << 24) as f32;
    member.share_at(now) / -chance.ln()
}
