//! The map of the house as a test: which module may use which, what a module may not know, and how long a
//! file may be.
//!
//! The checker reads sources as tokens, without comments, literals and test modules, and looks at every
//! path in them: `use` trees leaf by leaf, and `crate::…` or `super::…` wherever else it stands. A name
//! that the crate root re-exports counts as the module it comes from.

mod paths;

use std::{collections::BTreeMap, fs, path::Path};

use self::paths::paths;

/// A module and what it may use of the others in its crate: a module, or one name in it. A row covers the
/// modules inside its own, and may only use rows above it: dependencies run down, so here they run up.
type Table = &'static [(&'static str, &'static [&'static str])];

const STEEPLE: Table = &[
    ("events", &[]),
    ("message", &[]),
    ("wire", &["events", "message"]),
    ("codec", &["message", "wire::numbers"]),
    ("transport", &["events", "message"]),
    ("transport::framed", &["wire"]),
    ("transport::compress", &["wire::numbers"]),
    ("transport::tls", &["wire::numbers"]),
    ("conn", &["events", "message", "wire", "transport::Address"]),
    ("layers", &["message", "conn", "transport::Address"]),
    (
        "client",
        &[
            "events",
            "message",
            "wire",
            "codec",
            "transport",
            "conn",
            "layers",
        ],
    ),
    (
        "server",
        &[
            "events",
            "message",
            "wire",
            "codec",
            "transport",
            "conn",
            "layers",
        ],
    ),
    (
        "router",
        &[
            "message",
            "wire::numbers",
            "codec",
            "transport::Address",
            "conn",
        ],
    ),
];

const LAYERS: Table = &[
    ("backoff", &[]),
    ("called", &[]),
    ("explain", &[]),
    ("tried", &[]),
    ("timer", &[]),
    ("method", &[]),
    ("mix", &[]),
    ("moment", &[]),
    ("priority", &[]),
    ("error", &[]),
    ("context", &["method", "moment", "priority", "tried"]),
    ("carry", &["context", "method"]),
    ("idempotent", &["context", "error", "explain", "method"]),
    ("outcome", &["error"]),
    ("spare", &[]),
    ("catch_panic", &["carry", "error", "explain", "method"]),
    (
        "fault",
        &[
            "carry",
            "context",
            "error",
            "explain",
            "idempotent",
            "method",
        ],
    ),
    ("decided", &["error"]),
    ("drain", &["decided", "error", "explain"]),
    (
        "policies",
        &["carry", "context", "error", "explain", "priority"],
    ),
    ("inherit", &["carry", "explain", "moment"]),
    (
        "log",
        &[
            "called", "carry", "context", "error", "explain", "method", "moment",
        ],
    ),
    ("gated", &["decided", "error"]),
    (
        "admission",
        &[
            "carry", "context", "decided", "error", "explain", "gated", "priority", "timer",
        ],
    ),
    (
        "rate_limit",
        &["carry", "context", "error", "explain", "gated", "timer"],
    ),
    (
        "timeout",
        &[
            "explain", "carry", "context", "error", "inherit", "moment", "timer",
        ],
    ),
    (
        "retry",
        &[
            "backoff",
            "carry",
            "context",
            "error",
            "explain",
            "idempotent",
            "method",
            "spare",
            "timer",
            "tried",
        ],
    ),
    (
        "breaker",
        &[
            "backoff", "carry", "context", "decided", "error", "explain", "method", "outcome",
        ],
    ),
    ("coalesce", &["carry", "error", "explain"]),
    (
        "fallback",
        &[
            "carry",
            "context",
            "error",
            "explain",
            "idempotent",
            "method",
            "retry",
            "spare",
        ],
    ),
    (
        "hedge",
        &[
            "carry",
            "context",
            "error",
            "explain",
            "idempotent",
            "method",
            "retry",
            "spare",
            "timer",
            "tried",
        ],
    ),
    ("lifecycle", &["error"]),
    ("test", &["error", "lifecycle"]),
    ("resolve", &["error", "mix"]),
    (
        "replicas",
        &[
            "backoff",
            "called",
            "context",
            "error",
            "explain",
            "lifecycle",
            "mix",
            "moment",
            "outcome",
            "resolve",
            "tried",
        ],
    ),
    (
        "balance",
        &[
            "explain",
            "backoff",
            "context",
            "carry",
            "error",
            "lifecycle",
            "mix",
            "moment",
            "resolve",
            "replicas",
        ],
    ),
];

/// A module, and the paths that do not occur in it.
const UNSPOKEN: &[(&str, &[&str])] = &[
    ("wire", &["tokio", "std::net", "Instant", "Moment"]),
    ("conn::state", PURE),
    ("conn::inflight", PURE),
    ("conn::window", PURE),
];

/// No runtime, no socket and no clock: time is an argument.
const PURE: &[&str] = &[
    "tokio",
    "socket2",
    "std::io",
    "std::net",
    "Instant::now",
    "Moment::now",
];

/// The most lines that a file has before its tests.
const LONGEST: usize = 500;

/// The files that are longer, each with the reason.
const LONGER: &[(&str, &str)] = &[];

#[test]
fn dependencies_run_down_only() {
    for (root, table) in [("src", STEEPLE), ("layers/src", LAYERS)] {
        let exports = fs::read_to_string(format!("{root}/lib.rs")).unwrap();
        let exports = exports_of(&exports);
        let wrong: Vec<_> = sources(root)
            .iter()
            .filter(|file| !file.module.is_empty())
            .flat_map(|file| wrong_arrows(&file.text, &file.module, table, &exports))
            .collect();
        assert!(wrong.is_empty(), "in {root}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn a_row_uses_only_rows_above_it() {
    for table in [STEEPLE, LAYERS] {
        for (at, (_, uses)) in table.iter().enumerate() {
            for path in *uses {
                assert!(table[..at].iter().any(|row| within(path, row.0)), "{path}");
            }
        }
    }
}

#[test]
fn what_a_module_may_not_know_it_does_not_name() {
    for file in sources("src") {
        for (module, words) in UNSPOKEN {
            if within(&file.module, module) {
                let named = named(&file.text, words);
                assert!(named.is_empty(), "{} names {named:?}", file.path);
            }
        }
    }
}

#[test]
fn no_file_is_too_long_without_a_reason() {
    for file in sources("src").into_iter().chain(sources("layers/src")) {
        let lines = file.text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let excused = LONGER.iter().any(|(path, _)| *path == file.path);
        let long = lines.lines().count() > LONGEST;
        let is = |so| if so { "is" } else { "is not" };
        let (is_long, is_listed) = (is(long), is(excused));
        assert_eq!(
            long, excused,
            "{} {is_long} over {LONGEST} lines before its tests and {is_listed} in LONGER",
            file.path
        );
    }
}

struct Source {
    path: String,
    /// `conn::state`, and nothing for the crate root.
    module: String,
    text: String,
}

/// All sources under `root`, except files that are nothing but tests.
fn sources(root: &str) -> Vec<Source> {
    fn visit(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(root).unwrap().with_extension("");
                let names = module.iter().map(|name| name.to_str().unwrap());
                let names: Vec<_> = names
                    .filter(|name| !["lib", "mod"].contains(name))
                    .collect();
                if !names.contains(&"tests") {
                    found.push(Source {
                        path: path.display().to_string(),
                        module: names.join("::"),
                        text: fs::read_to_string(&path).unwrap(),
                    });
                }
            }
        }
    }
    let mut found = Vec::new();
    visit(Path::new(root), Path::new(root), &mut found);
    assert!(!found.is_empty(), "no sources under {root}");
    found
}

/// What a crate root re-exports: the name, and the path it stands for.
fn exports_of(root: &str) -> BTreeMap<String, String> {
    let leaves = paths(root, "").into_iter();
    leaves
        .filter_map(|leaf| Some((leaf.name?, leaf.path.replace("crate::", ""))))
        .collect()
}

/// The arrows from `module` that `table` does not have.
fn wrong_arrows(
    text: &str,
    module: &str,
    table: Table,
    exports: &BTreeMap<String, String>,
) -> Vec<String> {
    let top = |path: &str| path.split("::").next().unwrap().to_owned();
    let is_row = |path: &str| table.iter().any(|row| row.0 == top(path));
    if !is_row(module) {
        return vec![format!("`{module}` has no row in the table")];
    }
    let mut wrong = Vec::new();
    for leaf in paths(text, module) {
        let (root, path) = leaf.path.split_once("::").unwrap_or((&leaf.path, ""));
        if root != "crate" {
            continue;
        }
        let path = match exports.get(&top(path)) {
            _ if is_row(path) => path,
            Some(origin) if is_row(origin) => origin,
            Some(_) => continue, // from a crate below, where no arrow comes back
            None => {
                wrong.push(format!(
                    "`{module}` uses `crate::{path}`, of unknown origin"
                ));
                continue;
            }
        };
        let rows = table.iter().filter(|row| within(module, row.0));
        let allowed = rows.flat_map(|row| row.1).any(|ally| within(path, ally));
        if top(path) != top(module) && !allowed {
            wrong.push(format!("`{module}` uses `{path}`"));
        }
    }
    wrong
}

/// The paths of `words` that occur in `text`.
fn named<'a>(text: &str, words: &[&'a str]) -> Vec<&'a str> {
    let paths = paths(text, "");
    let occurs = |word: &&&str| {
        let mut paths = paths.iter();
        paths.any(|leaf| format!("::{}::", leaf.path).contains(&format!("::{word}::")))
    };
    words.iter().filter(occurs).copied().collect()
}

/// Whether `path` is `ancestor` or lies in it.
fn within(path: &str, ancestor: &str) -> bool {
    let rest = path.strip_prefix(ancestor);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = &[
        ("wire", &[]),
        ("conn", &["wire::Frame"]),
        ("client", &["conn"]),
        ("server", &["conn"]),
    ];

    /// What the checker says of `text` in `module`.
    fn wrong(module: &str, text: &str) -> String {
        let root = "pub use self::{client::Channel, conn::{Peer as Far}, wire::Out};
                    pub use steeple_layers::{Error, Kind};";
        wrong_arrows(text, module, TABLE, &exports_of(root)).join(", ")
    }

    #[test]
    fn an_arrow_of_the_table_is_fine_and_so_is_the_own_house() {
        assert_eq!(wrong("conn", "use crate::{wire::Frame, Error};"), "");
        assert_eq!(wrong("conn::driver", "use super::state::{self, *};"), "");
        assert_eq!(wrong("client", "fn f() -> crate::Far { conn::f() }"), "");
        assert_eq!(
            wrong("client", "use tokio::net; mod a { use super::b; }"),
            ""
        );
    }

    #[test]
    fn a_wrong_arrow_is_found_however_it_is_written() {
        let found = "`server` uses `client::Channel`";
        for text in [
            "use crate::client::Channel;",
            "pub(crate) use crate::client::Channel as Other;",
            "use crate::{\n    conn::{a, b::{self}},\n    client::{Channel},\n};",
            "use super::{conn::{Peer}, client::Channel};",
            "use crate::Channel;",
            "mod inner { mod deep { use super::super::super::Channel; } }",
            "fn f<'a>(c: char) -> crate::client::Channel { c == '{' }",
            "#[cfg(test)] mod tests { fn f() {} } fn g() { super::client::Channel() }",
        ] {
            assert_eq!(wrong("server", text), found, "{text}");
        }
        assert_eq!(wrong("conn", "use crate::Out;"), "`conn` uses `wire::Out`");
        assert_eq!(
            wrong("conn", "use crate::wire::*;"),
            "`conn` uses `wire::*`"
        );
    }

    #[test]
    fn what_cannot_be_traced_is_wrong() {
        for text in [
            "use crate::*;",
            "use crate as root;",
            "use crate::{self as r};",
            "use crate::New;",
        ] {
            assert!(wrong("conn", text).ends_with("of unknown origin"), "{text}");
        }
        assert_eq!(wrong("router", ""), "`router` has no row in the table");
    }

    #[test]
    fn comments_literals_and_test_modules_do_not_count() {
        for text in [
            "// use crate::client;\n/* use crate::client; */ /// [`x`](crate::client)",
            r##"const A: &str = "use crate::client; \" use crate::client;";"##,
            r##"const A: (&str, char) = (r#"" use crate::client; "#, '\'');"##,
            "#[cfg(test)]\nmod tests { use crate::client; mod x { fn f() {} } }",
        ] {
            assert_eq!(wrong("server", text), "", "{text}");
        }
    }

    #[test]
    fn a_forbidden_name_is_found_in_a_group_and_in_code() {
        let text = "use tokio::{time::{Instant, sleep}}; fn f() { Moment::now() }";
        let words = &["tokio", "Moment::now", "std::io"];
        assert_eq!(named(text, words), words[..2]);
        let pure = "use steeple_layers::moment::Moment; fn f(now: Moment) {}";
        assert!(named(pure, words).is_empty());
    }
}
