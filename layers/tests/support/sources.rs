//! What the sources of a crate hold.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of the types that are layers, in a directory of the crate under test.
pub(crate) fn layers_in(directory: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(directory),
        &mut names,
    );
    names
}

/// The names of the layers that have a row in the tables of a module's documentation.
pub(crate) fn rows_in(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let source = fs::read_to_string(path).unwrap();
    let names = source.lines().filter_map(|line| {
        let cell = line.strip_prefix("//! | ")?.split(" | ").next()?;
        let name = cell.split('`').nth(1)?.rsplit("::").next()?;
        name.ends_with("Layer").then(|| name.to_owned())
    });
    names.collect()
}

fn collect(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(layers_of(&fs::read_to_string(path).unwrap()));
        }
    }
}

/// Of each `impl … Layer<…> for Name`, the name.
fn layers_of(source: &str) -> impl Iterator<Item = String> {
    source.split("\nimpl").skip(1).filter_map(|rest| {
        let head = rest.split(['{', ';']).next()?;
        let head = head.split_whitespace().collect::<Vec<_>>().join(" ");
        let (implemented, on) = head.split_once(" for ")?;
        let (_, of_what) = implemented
            .rsplit_once("> ")
            .unwrap_or(("", implemented.trim()));
        let name = on.split(|sign: char| !sign.is_alphanumeric()).next()?;
        of_what.starts_with("Layer<").then(|| name.to_owned())
    })
}

#[test]
fn a_layer_is_found_however_its_impl_is_written() {
    let source = "
impl<S> Layer<S> for One { }
impl<S, P: Pick> Layer<Replicas<S>> for Two<P> { }
impl<T, C> Layer<C>
    for Three<T>
where
    T: Clone,
{ }
impl Clone for Layer<S> { }
impl<S, L: Layer<S>> Service<S> for Four { }
";
    let found: Vec<_> = layers_of(source).collect();
    assert_eq!(found, ["One", "Two", "Three"]);
}
