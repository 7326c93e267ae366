//! Which calls may run twice.

use std::sync::Arc;

use crate::{Context, Error, Method, explain::Part};

/// The methods that are declared to be as good run twice as once. What a call says of itself, or a policy of its method,
/// holds instead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Idempotent(Arc<[Method]>);

impl Idempotent {
    pub(crate) fn new<M: Into<Method>>(methods: impl IntoIterator<Item = M>) -> Self {
        Self(methods.into_iter().map(Into::into).collect())
    }

    /// Whether a call may run twice.
    pub(crate) fn covers(&self, cx: &Context) -> bool {
        cx.idempotent()
            .unwrap_or_else(|| self.0.contains(cx.method()))
    }

    /// Names them, if there are any.
    pub(crate) fn explain(&self, part: &mut Part) {
        if !self.0.is_empty() {
            let names: Vec<_> = self.0.iter().map(Method::as_str).collect();
            part.setting(format_args!("idempotent: {}", names.join(", ")));
        }
    }

    /// Whether a call that failed like this can be made once more without doing anything twice.
    pub(crate) fn is_safe(&self, cx: &Context, error: &Error) -> bool {
        error.execution().is_safe_to_repeat() || self.covers(cx)
    }
}
