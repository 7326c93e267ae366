//! What a router is made of, and what it becomes when it is served.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
    sync::{Arc, OnceLock},
};

use super::{
    Route,
    name::{NameHasher, flaw},
    route::{AnyLayer, Name, RouteService},
};

/// The routes of a router.
pub(super) struct Routes<S> {
    by_name: BTreeMap<String, Entry<S>>,
    fallback: Option<Entry<S>>,
    /// Made of the above when the router is first asked whether it is ready.
    table: OnceLock<Table>,
}

/// What stands behind a name.
pub(super) struct Entry<S> {
    origin: Origin<S>,
    /// What the layers around it are called, the outermost last.
    layers: Vec<Name>,
}

enum Origin<S> {
    /// It has its state, or needs none.
    Bound(RouteService),
    /// It waits for its state.
    Unbound(Arc<dyn Fn(&S) -> RouteService + Send + Sync>),
}

/// What calls are looked up in.
pub(super) struct Table {
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

    /// What routes are inside of the same layers, by the names of these, from the outside in. Those without layers are not
    /// there.
    pub(super) fn layers(&self) -> BTreeMap<Vec<String>, Vec<&str>> {
        let by_name = self.by_name.iter();
        let named = by_name.map(|(name, entry)| (name.as_str(), entry));
        let fallback = self.fallback.iter().map(|entry| ("the fallback", entry));
        let mut layers = BTreeMap::<_, Vec<_>>::new();
        for (name, entry) in named.chain(fallback) {
            if !entry.layers.is_empty() {
                layers.entry(entry.layer_names()).or_default().push(name);
            }
        }
        layers
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
        let table = self.table()?;
        table.by_name.get(method).or(table.fallback.as_ref())
    }

    /// What calls are looked up in, made at the first time; `None` if there are no routes.
    pub(super) fn table(&self) -> Option<&Table> {
        if let Some(table) = self.table.get() {
            return Some(table);
        }
        let make = || self.make_table();
        (!self.is_empty()).then(|| self.table.get_or_init(make))
    }

    fn make_table(&self) -> Table {
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

impl<S> Entry<S> {
    pub(super) fn service(service: RouteService) -> Self {
        Self {
            origin: Origin::Bound(service),
            layers: Vec::new(),
        }
    }

    /// What its layers are called, from the outside in.
    fn layer_names(&self) -> Vec<String> {
        self.layers.iter().rev().map(|name| name()).collect()
    }
}

impl<S: 'static> Entry<S> {
    pub(super) fn of(route: Route<S>) -> Self {
        Self {
            layers: route.layer_names(),
            origin: Origin::Unbound(Arc::new(move |state| route.bind(state))),
        }
    }

    pub(super) fn layer(mut self, layer: AnyLayer) -> Self {
        self.layers.push(layer.name);
        self.origin = match self.origin {
            Origin::Bound(service) => Origin::Bound(layer.around(service)),
            Origin::Unbound(make) => {
                Origin::Unbound(Arc::new(move |state| layer.around(make(state))))
            }
        };
        self
    }

    pub(super) fn with_state<T>(self, state: &S) -> Entry<T> {
        Entry {
            origin: Origin::Bound(self.bind(state)),
            layers: self.layers,
        }
    }

    fn bind(&self, state: &S) -> RouteService {
        match &self.origin {
            Origin::Bound(service) => service.clone(),
            Origin::Unbound(make) => make(state),
        }
    }
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        Self {
            origin: match &self.origin {
                Origin::Bound(service) => Origin::Bound(service.clone()),
                Origin::Unbound(make) => Origin::Unbound(make.clone()),
            },
            layers: self.layers.clone(),
        }
    }
}
