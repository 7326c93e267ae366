//! The choice of a replica.

use std::{fmt, sync::Arc};

use crate::{Context, Error, replicas::Member};

/// Chooses the replica of each call.
///
/// It is shared by all clones of a client and asked by all of their calls at once. Its answer may differ for the
/// same call: a picker may count. What it chooses for another [attempt](Context::attempt) of a call should be
/// another replica than before, if any will do: none that [was tried](Member::was_tried).
pub trait Pick: Send + Sync + 'static {
    /// Chooses among `members`, which are at least one and can all be called. The call began at
    /// [`cx.started()`](Context::started).
    fn pick(&self, members: &[Member], cx: &Context) -> Choice;
}

/// What a picker answers.
#[derive(Debug)]
pub enum Choice {
    /// The member at this place.
    Member(usize),
    /// None of these: the call waits for the next snapshot, or fails if it does not wait.
    Wait,
    /// The call fails.
    Fail(Error),
}

/// A picker that is a function of the members and the call.
///
/// ```
/// use steeple_layers::balance::{BalanceLayer, Choice, pick_fn};
///
/// let first_with_room = pick_fn(|members, _| {
///     match members.iter().position(|member| member.pending() < 10) {
///         Some(place) => Choice::Member(place),
///         None => Choice::Wait,
///     }
/// });
/// let layer = BalanceLayer::new(first_with_room);
/// ```
pub fn pick_fn<F>(pick: F) -> PickFn<F>
where
    F: Fn(&[Member], &Context) -> Choice + Send + Sync + 'static,
{
    PickFn(pick)
}

/// What [`pick_fn`] makes.
#[derive(Clone, Copy)]
pub struct PickFn<F>(F);

impl<F> Pick for PickFn<F>
where
    F: Fn(&[Member], &Context) -> Choice + Send + Sync + 'static,
{
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        (self.0)(members, cx)
    }
}

impl<F> fmt::Debug for PickFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PickFn").finish_non_exhaustive()
    }
}

impl<P: Pick + ?Sized> Pick for Arc<P> {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        (**self).pick(members, cx)
    }
}

impl<P: Pick + ?Sized> Pick for Box<P> {
    fn pick(&self, members: &[Member], cx: &Context) -> Choice {
        (**self).pick(members, cx)
    }
}
