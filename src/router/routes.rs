//! What a router is made of, and what it becomes when the first call comes.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
    sync::{Arc, OnceLock},
};

use super::{
    Route,
    name::{NameHasher, flaw},
    route::{AnyLayer, RouteService},
};

/// The routes of a router.
pub(super) struct Routes<S> {
    by_name: BTreeMap<String, Entry<S>>,
    fallback: Option<Entry<S>>,
    /// Made of the above when the first call comes.
    table: OnceLock<Table>,
}

/// What stands behind a name.
pub(super) enum Entry<S> {
    /// It has its state, or needs none.
    Bound(RouteService),
    /// It waits for its state.
    Unbound(Arc<dyn Fn(&S) -> RouteService + Send + Sync>),
}

/// What calls are looked up in.
struct Table {
    by_name: HashMap<String, RouteService, BuildHasherDefault<NameHasher>>,
    fallback: Option<RouteService>,
}

impl<S> Routes<S> {
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.fallback.is_none()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(super) fn has_fallback(&self) -> bool {
        self.fallback.is_some()
    }

    #[track_caller]
    pub(super) fn add(&mut self, name: String, entry: Entry<S>) {
        if let Some(flaw) = flaw(&name) {
            panic!("{flaw}");
        }
        if self.by_name.contains_key(&name) {
            panic!("there is a route {name:?} already");
        }
        self.by_name.insert(name, entry);
    }

    #[track_caller]
    pub(super) fn set_fallback(&mut self, entry: Entry<S>) {
        assert!(self.fallback.is_none(), "there is a fallback already");
        self.fallback = Some(entry);
    }

    /// Adds those of another router, with a prefix before their names.
    #[track_caller]
    pub(super) fn extend(&mut self, prefix: &str, other: Self) {
        for (name, entry) in other.by_name {
            self.add(format!("{prefix}{name}"), entry);
        }
        if let Some(fallback) = other.fallback {
            self.set_fallback(fallback);
        }
    }

    pub(super) fn map<T>(self, f: impl Fn(Entry<S>) -> Entry<T>) -> Routes<T> {
        let by_name = self.by_name.into_iter();
        Routes {
            by_name: by_name.map(|(name, entry)| (name, f(entry))).collect(),
            fallback: self.fallback.map(f),
            table: OnceLock::new(),
        }
    }
}

impl Routes<()> {
    /// What answers calls of this method.
    pub(super) fn find(&self, method: &str) -> Option<&RouteService> {
        let table = self.table.get_or_init(|| self.table());
        table.by_name.get(method).or(table.fallback.as_ref())
    }

    fn table(&self) -> Table {
        let by_name = self.by_name.iter();
        Table {
            by_name: by_name
                .map(|(name, entry)| (name.clone(), entry.bind(&())))
                .collect(),
            fallback: self.fallback.as_ref().map(|entry| entry.bind(&())),
        }
    }
}

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            fallback: None,
            table: OnceLock::new(),
        }
    }
}

/// Without the table, which would not know what is added.
impl<S> Clone for Routes<S> {
    fn clone(&self) -> Self {
        Self {
            by_name: self.by_name.clone(),
            fallback: self.fallback.clone(),
            table: OnceLock::new(),
        }
    }
}

impl<S: 'static> Entry<S> {
    pub(super) fn of(route: Route<S>) -> Self {
        Self::Unbound(Arc::new(move |state| route.bind(state)))
    }

    pub(super) fn layer(self, layer: AnyLayer) -> Self {
        match self {
            Self::Bound(service) => Self::Bound(layer(service)),
            Self::Unbound(make) => Self::Unbound(Arc::new(move |state| layer(make(state)))),
        }
    }

    pub(super) fn bind(&self, state: &S) -> RouteService {
        match self {
            Self::Bound(service) => service.clone(),
            Self::Unbound(make) => make(state),
        }
    }
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Bound(service) => Self::Bound(service.clone()),
            Self::Unbound(make) => Self::Unbound(make.clone()),
        }
    }
}
