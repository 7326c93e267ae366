//! Short names and values that travel beside a body, in both directions.

use std::{borrow::Cow, iter::FusedIterator, slice, sync::Arc};

use bytes::Bytes;

/// Names and binary values beside a body, in the order in which they were added.
///
/// Names are compared byte by byte. What may travel is checked where it is encoded: a name of 1 to 255
/// bytes, a value of at most 65 535, and all together at most `max_metadata` (16 KiB) on the native wire.
/// Empty metadata takes one word and no allocation. A clone costs a count: the entries are shared until one of
/// the clones is changed, and then copied.
///
/// ```
/// use steeple::Metadata;
///
/// let mut metadata = Metadata::new();
/// metadata.insert("tenant", "blue");
/// assert_eq!(metadata.get_str("tenant"), Some("blue"));
/// assert_eq!(metadata, Metadata::from_iter([("tenant", "blue")]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<Vec<Entry>>>);

type Entry = (Cow<'static, str>, Bytes);

/// The names and values of some [`Metadata`], in order.
#[derive(Clone, Debug)]
pub struct MetadataIter<'a>(slice::Iter<'a, Entry>);

impl Metadata {
    /// What an entry takes of memory beside its name and its value, in bytes.
    pub(crate) const ENTRY: usize = size_of::<Entry>();

    /// Nothing.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.iter()
            .find(|entry| entry.0 == name)
            .map(|(_, value)| value)
    }

    /// The first value of this name, if it is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// All values of this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> {
        self.iter()
            .filter(move |entry| entry.0 == name)
            .map(|(_, value)| value)
    }

    /// Sets the one value of this name; others of the same name go.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) {
        let name = name.into();
        self.remove(&name);
        self.append(name, value);
    }

    /// Adds a value, beside others of the same name.
    pub fn append(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) {
        Arc::make_mut(self.0.get_or_insert_default()).push((name.into(), value.into()));
    }

    /// Removes all values of this name and returns the first.
    pub fn remove(&mut self, name: &str) -> Option<Bytes> {
        let first = self.entries().iter().position(|entry| entry.0 == name)?;
        let entries = Arc::make_mut(self.0.as_mut()?);
        let (_, value) = entries.remove(first);
        entries.retain(|entry| entry.0 != name);
        Some(value)
    }

    /// All names and values, in order.
    pub fn iter(&self) -> MetadataIter<'_> {
        MetadataIter(self.entries().iter())
    }

    fn entries(&self) -> &[Entry] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a str, &'a Bytes);
    type IntoIter = MetadataIter<'a>;

    fn into_iter(self) -> MetadataIter<'a> {
        self.iter()
    }
}

/// [Appends](Metadata::append) each entry.
impl<N, V> Extend<(N, V)> for Metadata
where
    N: Into<Cow<'static, str>>,
    V: Into<Bytes>,
{
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, entries: I) {
        for (name, value) in entries {
            self.append(name, value);
        }
    }
}

/// All entries, several of one name included.
impl<N, V> FromIterator<(N, V)> for Metadata
where
    N: Into<Cow<'static, str>>,
    V: Into<Bytes>,
{
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        let mut metadata = Self::new();
        metadata.extend(entries);
        metadata
    }
}

impl<'a> Iterator for MetadataIter<'a> {
    type Item = (&'a str, &'a Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (&**name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for MetadataIter<'_> {}

impl FusedIterator for MetadataIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_replaces_and_append_adds() {
        let mut metadata = Metadata::new();
        metadata.append("a", "1");
        metadata.append("b", "2");
        metadata.append("a", "3");
        assert_eq!(metadata.get_all("a").collect::<Vec<_>>(), ["1", "3"]);
        metadata.insert("a", "4");
        assert_eq!(
            metadata.iter().collect::<Vec<_>>(),
            [("b", &"2".into()), ("a", &"4".into())]
        );
        assert_eq!(metadata.remove("b"), Some("2".into()));
        assert_eq!(metadata.remove("b"), None);
    }

    #[test]
    fn values_may_be_any_bytes() {
        let mut metadata = Metadata::new();
        metadata.insert("bin", vec![0xff, 0]);
        assert_eq!(metadata.get("bin").unwrap(), &[0xff, 0][..]);
        assert_eq!(metadata.get_str("bin"), None);
    }

    #[test]
    fn entries_are_collected_in_order_and_several_of_one_name_stay() {
        let entries = [("a", "1"), ("b", "2"), ("a", "3")];
        let mut metadata = Metadata::from_iter(entries);
        let mut seen = Vec::new();
        for (name, value) in &metadata {
            seen.push((name, std::str::from_utf8(value).unwrap()));
        }
        assert_eq!(seen, entries);
        assert_eq!(metadata.iter().len(), 3);
        metadata.extend([(String::from("c"), vec![4])]);
        assert_eq!(metadata.get("c").unwrap(), &[4][..]);
    }

    #[test]
    fn clones_share_their_entries_until_one_of_them_is_changed() {
        let mut one = Metadata::from_iter([("a", "1")]);
        let mut other = one.clone();
        assert_eq!(one.remove("b"), None);
        assert_eq!(one.entries().as_ptr(), other.entries().as_ptr());
        other.insert("a", "2");
        one.append("b", "3");
        assert_eq!((one.len(), one.get_str("a")), (2, Some("1")));
        assert_eq!((other.len(), other.get_str("a")), (1, Some("2")));
    }

    #[test]
    fn empty_metadata_is_one_word() {
        assert_eq!(size_of::<Metadata>(), size_of::<usize>());
    }
}
