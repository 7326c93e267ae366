//! The name of a method.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The name by which a server finds a handler, such as `Arith.Multiply`.
///
/// Cheap to clone: a name known at compile time is a pointer, any other is shared. The number that stands
/// for it on a connection is that connection's affair. The empty name is allowed: a server of one function
/// needs no other.
///
/// ```
/// use steeple_layers::Method;
///
/// const ECHO: Method = Method::from_static("Echo");
/// assert_eq!(ECHO, Method::from(String::from("Echo")));
/// ```
#[derive(Clone)]
pub struct Method(Name);

#[derive(Clone)]
enum Name {
    Static(&'static str),
    /// The pointer is thin so that a method is two words: requests have one, and are moved a lot.
    Shared(Arc<Box<str>>),
}

impl Method {
    /// A method whose name is known at compile time.
    pub const fn from_static(name: &'static str) -> Self {
        Self(Name::Static(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Static(name) => name,
            Name::Shared(name) => name,
        }
    }
}

impl Default for Method {
    /// The method without a name.
    fn default() -> Self {
        Self::from_static("")
    }
}

impl From<&'static str> for Method {
    fn from(name: &'static str) -> Self {
        Self::from_static(name)
    }
}

impl From<String> for Method {
    fn from(name: String) -> Self {
        Self(Name::Shared(Arc::new(name.into())))
    }
}

impl From<Arc<str>> for Method {
    fn from(name: Arc<str>) -> Self {
        String::from(&*name).into()
    }
}

impl AsRef<str> for Method {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

// `Hash`, `Eq` and `Ord` are those of the name, as `Borrow` promises.
impl Borrow<str> for Method {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Method {}

impl PartialEq<str> for Method {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Method {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Method {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Method {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Method {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_method_is_two_words() {
        assert_eq!(size_of::<Method>(), 2 * size_of::<usize>());
    }

    #[test]
    fn a_shared_name_equals_and_hashes_like_a_static_one() {
        let shared = Method::from(String::from("Arith.Add"));
        let fixed = Method::from_static("Arith.Add");
        assert_eq!(shared, fixed);
        let map = HashMap::from([(shared, 1)]);
        assert_eq!(map.get(&fixed), Some(&1));
        assert_eq!(map.get("Arith.Add"), Some(&1));
    }
}
