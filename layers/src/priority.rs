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
