//! The replica that a call came to, told to a log above.
//!
//! As [`tried`](crate::tried), and for the same reason: between the two are layers that know neither. An address is
//! counted by reference, which other threads feel, so it is told only to who listens.

use std::{cell::Cell, sync::Arc};

thread_local! {
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static CALLED: Cell<Option<Arc<str>>> = const { Cell::new(None) };
}

/// Tells where a call came to, if anybody listens.
#[inline]
pub(crate) fn tell(address: &Arc<str>) {
    if LISTENS.get() {
        CALLED.set(Some(address.clone()));
    }
}

/// Polls, and says what is told meanwhile: the last, if there are several.
pub(crate) fn listen<T>(poll: impl FnOnce() -> T) -> (T, Option<Arc<str>>) {
    let outer = LISTENS.replace(true);
    CALLED.take();
    let polled = poll();
    let called = CALLED.take();
    LISTENS.set(outer);
    if let Some(address) = &called {
        tell(address);
    }
    (polled, called)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_told_and_so_is_who_listens_further_out() {
        let address: Arc<str> = "a".into();
        tell(&address);
        assert_eq!(Arc::strong_count(&address), 1);
        let (inner, outer) = listen(|| listen(|| tell(&address)).1);
        assert_eq!((inner.as_deref(), outer.as_deref()), (Some("a"), Some("a")));
        assert_eq!(listen(|| {}).1, None);
        assert_eq!(Arc::strong_count(&address), 3);
    }
}
