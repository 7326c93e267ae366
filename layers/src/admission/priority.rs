//! What a call is worth, beside others.

/// What a call is worth to the server while it cannot serve all.
///
/// Of those that wait, a call of a higher priority is served before any of a lower one, and shed after all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nobody waits for it: prefetching, reports, copies.
    Background,
    /// As most calls.
    #[default]
    Normal,
    /// A user waits for it.
    Important,
    /// Without it nothing works: health checks, logins, payments.
    Critical,
}

impl Priority {
    /// All of them, from the lowest.
    pub const ALL: [Self; 4] = [
        Self::Background,
        Self::Normal,
        Self::Important,
        Self::Critical,
    ];
}

/// Says what a call is worth.
///
/// Implemented for closures from `&Request` to [`Priority`].
pub trait Prioritize<R> {
    /// What this call is worth. It is asked only if the call cannot run at once.
    fn priority(&self, request: &R) -> Priority;
}

impl<R, F: Fn(&R) -> Priority> Prioritize<R> for F {
    fn priority(&self, request: &R) -> Priority {
        self(request)
    }
}

/// All calls are worth the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alike;

impl<R> Prioritize<R> for Alike {
    fn priority(&self, _: &R) -> Priority {
        Priority::Normal
    }
}
