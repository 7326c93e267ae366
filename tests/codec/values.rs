//! The types of the values.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Unit;

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Newtype(pub(crate) String);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(transparent)]
pub(crate) struct Transparent(pub(crate) String);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Pair(pub(crate) u16, pub(crate) i64);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Point {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) label: Option<String>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Outer {
    pub(crate) inner: Point,
    pub(crate) all: Vec<Pair>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) enum Shape {
    Unit,
    Newtype(u32),
    Tuple(u8, String),
    Struct { a: u8, b: Option<Box<Shape>> },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Stamp {
    pub(crate) micros: i64,
}

/// A value that writes itself as another one.
#[derive(PartialEq, Debug)]
pub(crate) struct Celsius(pub(crate) f64);

impl Serialize for Celsius {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0 * 2.0, "°").serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Celsius {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <(f64, String)>::deserialize(deserializer).map(|(twice, _)| Self(twice / 2.0))
    }
}

/// Recursion through an enum, a sequence, an option and a map.
pub(crate) trait Recursive: Serialize + DeserializeOwned + Send + Sized + 'static {
    fn leaf() -> Self;
    fn around(self) -> Self;
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) enum Tree {
    Leaf,
    Branch(Box<Tree>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct List(Vec<List>);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Node {
    next: Option<Box<Node>>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Dir(BTreeMap<u8, Dir>);

impl Recursive for Tree {
    fn leaf() -> Self {
        Self::Leaf
    }

    fn around(self) -> Self {
        Self::Branch(Box::new(self))
    }
}

impl Recursive for List {
    fn leaf() -> Self {
        Self(Vec::new())
    }

    fn around(self) -> Self {
        Self(vec![self])
    }
}

impl Recursive for Node {
    fn leaf() -> Self {
        Self { next: None }
    }

    fn around(self) -> Self {
        Self {
            next: Some(Box::new(self)),
        }
    }
}

impl Recursive for Dir {
    fn leaf() -> Self {
        Self(BTreeMap::new())
    }

    fn around(self) -> Self {
        Self(BTreeMap::from([(7, self)]))
    }
}
