//! What services keep with a connection.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::Extensions;

/// Values that services keep with a connection, one of each type: who the peer has shown itself to be, what
/// it has subscribed to.
///
/// Found by [`Peer::values`](super::Peer::values), and shared by all handles of the connection. When the
/// connection ends, its values are dropped, and what is inserted later is not kept. So a value may hold a
/// [`Peer`](super::Peer).
///
/// A value is cloned out, so what is large or changes in place is kept in an `Arc`. What is the same from
/// the start for all requests of a connection is better told to the
/// [`Builder`](super::Builder::extension): there it is read without a lock.
#[derive(Debug)]
pub struct Values(Mutex<Option<Extensions>>);

impl Values {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(Extensions::new())))
    }

    /// A clone of the value of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.lock().as_ref()?.get().cloned()
    }

    /// A clone of the value of this type, which is made if there is none. Two that ask at the same time get
    /// the same one. `make` must not use these values: it runs under their lock.
    pub fn get_or_insert_with<T>(&self, make: impl FnOnce() -> T) -> T
    where
        T: Clone + Send + Sync + 'static,
    {
        match &mut *self.lock() {
            Some(values) => values.get_or_insert_with(make).clone(),
            None => make(),
        }
    }

    /// Keeps a value and returns the one that it replaces.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.lock().as_mut()?.insert(value)
    }

    /// Takes the value of this type out.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.lock().as_mut()?.remove()
    }

    /// Drops the values, and keeps no more of them.
    pub(super) fn close(&self) {
        let values = mem::take(&mut *self.lock());
        // Past the lock: it runs code of the user's.
        drop(values);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Extensions>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let values = Values::new();
        assert_eq!(values.insert(1u8), None);
        assert_eq!(values.insert(2u8), Some(1));
        assert_eq!(values.insert("x"), None);
        assert_eq!(
            (values.get::<u8>(), values.get::<&str>()),
            (Some(2), Some("x"))
        );
        assert_eq!(values.get_or_insert_with(|| 3u8), 2);
        assert_eq!(values.remove::<u8>(), Some(2));
        assert_eq!(values.get_or_insert_with(|| 3u8), 3);
        assert_eq!(values.get::<u8>(), Some(3));
    }

    #[test]
    fn nothing_is_kept_past_the_end() {
        let values = Values::new();
        let kept = Arc::new(());
        values.insert(kept.clone());
        values.close();
        assert_eq!(Arc::strong_count(&kept), 1);
        values.insert(kept.clone());
        assert_eq!(values.get_or_insert_with(|| kept.clone()), kept);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
