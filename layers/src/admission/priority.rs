//! Who says what a call is worth.

use crate::Carry;
pub use crate::priority::Priority;

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

/// The context of a call [says](crate::Context::priority) what it is worth, as a rule by the
/// [policy of its method](crate::policies).
#[derive(Clone, Copy, Debug, Default)]
pub struct ByContext;

impl<R: Carry> Prioritize<R> for ByContext {
    fn priority(&self, request: &R) -> Priority {
        request.cx().priority()
    }
}
