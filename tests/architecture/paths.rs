//! The paths in a source text, found without a parser of Rust.

/// A path in a source: from `crate::` if it lies in this crate, as written if not.
pub(crate) struct Leaf {
    pub(crate) path: String,
    /// What a `use` binds it to.
    pub(crate) name: Option<String>,
}

/// Every path of two names or more, and every leaf of a `use` tree, in the source of `module`.
pub(crate) fn paths(text: &str, module: &str) -> Vec<Leaf> {
    let tokens = without_tests(&tokens(text));
    let mut module: Vec<_> = module.split("::").filter(|name| !name.is_empty()).collect();
    let mut inline_modules = Vec::new();
    let (mut depth, mut at, mut leaves) = (0, 0, Vec::new());
    while at < tokens.len() {
        let next = |offset| tokens.get(at + offset).copied().unwrap_or_default();
        match tokens[at] {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline_modules.pop_if(|opened| *opened == depth).is_some() {
                    module.pop();
                }
            }
            "mod" if next(2) == "{" => {
                inline_modules.push(depth);
                module.push(next(1));
            }
            "use" if next(1) != "<" => {
                let tree: Vec<_> = tokens[at + 1..].iter().take_while(|t| **t != ";").collect();
                at += tree.len();
                leaves.extend(use_leaves(&tree, &module));
            }
            first if next(1) == "::" && is_name(first) => {
                let mut path = vec![first];
                while tokens.get(at + 1) == Some(&"::") && is_name(tokens[at + 2]) {
                    path.push(tokens[at + 2]);
                    at += 2;
                }
                let path = absolute(&path, &module);
                leaves.push(Leaf { path, name: None });
            }
            _ => {}
        }
        at += 1;
    }
    leaves
}

/// The leaves of one `use` tree.
fn use_leaves(tree: &[&&str], module: &[&str]) -> Vec<Leaf> {
    let (mut groups, mut path, mut leaves) = (vec![Vec::new()], Vec::new(), Vec::new());
    for token in tree.iter().map(|token| **token).chain([";"]) {
        match token {
            "::" => {}
            "{" => groups.push(path.clone()),
            "," | "}" | ";" => {
                if path != groups[groups.len() - 1] {
                    let alias = path.iter().position(|name: &&str| *name == "as");
                    let name = path.last().map(|name| (*name).to_owned());
                    path.truncate(alias.unwrap_or(path.len()));
                    let path = absolute(&path, module);
                    leaves.push(Leaf { path, name });
                }
                if token == "}" {
                    groups.pop();
                }
                path = groups[groups.len() - 1].clone();
            }
            name => path.push(name),
        }
    }
    leaves
}

/// A path from the crate root, if it lies in this crate.
fn absolute(path: &[&str], module: &[&str]) -> String {
    let mut names = match path[0] {
        "crate" => vec!["crate"],
        "self" | "super" => [&["crate"], module].concat(),
        _ => Vec::new(),
    };
    for name in path {
        match *name {
            "crate" | "self" => {}
            "super" => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("::")
}

/// The tokens outside of test modules.
fn without_tests<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    const TESTS: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at..].starts_with(&TESTS) {
            let mut depth = 0;
            let end = tokens[at..].iter().position(|token| {
                depth += i32::from(*token == "{") - i32::from(*token == "}");
                depth == 0 && [";", "}"].contains(token)
            });
            at += end.expect("a test module that ends");
        } else {
            kept.push(tokens[at]);
        }
        at += 1;
    }
    kept
}

/// Names, `::` and single signs; comments and literals are left out.
fn tokens(text: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let raw = raw_literal(rest).unwrap_or(0);
        let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
        let (len, is_token) = match first {
            _ if rest.starts_with("//") => (until("\n"), false),
            _ if rest.starts_with("/*") => (until("*/"), false),
            _ if raw > 0 => (raw, false),
            '"' => (quoted(rest), false),
            '\'' if is_char(rest) => (quoted(rest), false),
            _ if is_name(rest) => (rest.find(|c| !in_name(c)).unwrap_or(rest.len()), true),
            _ if rest.starts_with("::") => (2, true),
            sign => (sign.len_utf8(), !sign.is_whitespace()),
        };
        if is_token {
            tokens.push(&rest[..len]);
        }
        rest = &rest[len..];
    }
    tokens
}

/// The length of the literal that `text` begins with, which ends with the quote that it begins with.
fn quoted(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut escaped = true; // the opening quote does not close it
    let end = text.bytes().position(|byte| {
        let closes = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 1)
}

/// The length of the raw literal that `text` begins with, if it does.
fn raw_literal(text: &str) -> Option<usize> {
    let inside = text.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let hashes = inside
        .find('"')
        .filter(|at| inside[..*at].bytes().all(|byte| byte == b'#'))?;
    let end = format!("\"{}", &inside[..hashes]);
    let start = text.len() - inside.len() + hashes + 1;
    Some(
        text[start..]
            .find(&end)
            .map_or(text.len(), |at| start + at + end.len()),
    )
}

/// Whether the quote that `text` begins with opens a character, and not a lifetime.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

fn is_name(text: &str) -> bool {
    text.starts_with(in_name)
}

fn in_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}
