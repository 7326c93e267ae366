//! The parts of a stack, in order.

use std::{borrow::Cow, fmt};

use super::{Explain, advice};

/// What a stack does. As text it has a line for each part, from the outside in, and one for each warning.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    parts: Vec<Part>,
}

/// One service of a stack, apart from what is inside of it.
#[derive(Clone, Debug)]
pub struct Part {
    name: Cow<'static, str>,
    settings: Vec<String>,
    roles: Vec<Role>,
}

/// What a part does that matters to others: by this the [warnings](Explanation::warnings) go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// It is ready whatever happens inside.
    AlwaysReady,
    /// It limits the time from its arrival, as that of an attempt.
    AttemptTime,
    /// It limits the time of a call.
    CallTime,
    /// It is the end of a client's stack: calls leave from here.
    Connection,
    /// It calls twice, and takes what answers first.
    Hedges,
    /// Calls that handlers make inherit the deadline that it sees.
    Inherits,
    /// It is not ready when there are too many calls.
    Limits,
    /// The same, and what it counts is not shared with its clones or with others that were built alike.
    LimitsAlone,
    /// It marks bodies for those inside.
    MarksBodies,
    /// It obeys what the policy of a method says.
    ObeysPolicies,
    /// All calls go to one connection.
    OneConnection,
    /// It writes what the policy of a method says.
    Policies,
    /// It calls again what failed.
    Repeats,
    /// It makes new bodies.
    ReplacesBodies,
    /// It refuses calls when what is inside is not ready.
    Sheds,
    /// Nobody knows what it does.
    Unknown,
}

impl Explanation {
    /// What a service does, and those inside of it.
    pub fn of<S: Explain + ?Sized>(service: &S) -> Self {
        let mut explanation = Self::default();
        service.explain(&mut explanation);
        explanation
    }

    /// The parts, the outermost first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What is probably not what was meant, a sentence for each. None is a proof that all is well.
    pub fn warnings(&self) -> Vec<String> {
        advice::warnings(&self.parts)
    }

    /// Adds the next part inside.
    pub fn part(&mut self, name: impl Into<Cow<'static, str>>) -> &mut Part {
        self.parts.push(Part {
            name: name.into(),
            settings: Vec::new(),
            roles: Vec::new(),
        });
        self.parts.last_mut().expect("pushed above")
    }
}

impl Part {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is set of it, each as a few words.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(String::as_str)
    }

    /// Whether it does this.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Adds a few words on what is set of it.
    pub fn setting(&mut self, words: impl fmt::Display) -> &mut Self {
        self.settings.push(words.to_string());
        self
    }

    /// Adds how many there are of something whose plural has an `s`.
    pub fn count(&mut self, number: usize, noun: &str) -> &mut Self {
        let plural = if number == 1 { "" } else { "s" };
        self.setting(format_args!("{number} {noun}{plural}"))
    }

    /// Adds what it does.
    pub fn role(&mut self, role: Role) -> &mut Self {
        self.roles.push(role);
        self
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, number) in self.parts.iter().zip(1..) {
            writeln!(f, "{number}. {part}")?;
        }
        for warning in self.warnings() {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.settings.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.settings.join("; ")),
        }
    }
}

/// The name of a service's type without its modules and arguments, which as a rule are what is inside of it.
pub fn name_of<S: ?Sized>() -> String {
    let name = short_name::<S>();
    name.split('<').next().unwrap_or_default().to_owned()
}

/// The name of a type without the modules that it and its arguments are in.
pub(crate) fn short_name<T: ?Sized>() -> String {
    let mut short = String::new();
    // Where the name begins whose modules are being read.
    let mut begin = 0;
    for part in std::any::type_name::<T>().split_inclusive("::") {
        match part.strip_suffix("::") {
            Some(module) if !module.contains(is_joint) => short.truncate(begin),
            Some(words) => {
                let end = words.rfind(is_joint).map_or(0, |at| at + 1);
                short.push_str(&words[..end]);
                begin = short.len();
            }
            None => short.push_str(part),
        }
    }
    short
}

/// What stands between two names.
fn is_joint(letter: char) -> bool {
    matches!(letter, '<' | ' ' | ',' | '(' | '[' | '&' | ';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_with_all_its_arguments() {
        assert_eq!(short_name::<u8>(), "u8");
        assert_eq!(short_name::<String>(), "String");
        type Nested =
            Result<Vec<std::rc::Rc<str>>, (String, std::sync::Arc<[Box<dyn fmt::Debug>]>)>;
        let name = short_name::<Nested>();
        assert_eq!(
            name,
            "Result<Vec<Rc<str>>, (String, Arc<[Box<dyn Debug>]>)>"
        );
    }

    #[test]
    fn a_part_is_its_name_and_its_settings() {
        let mut explanation = Explanation::default();
        explanation.part("A");
        explanation.part("B").setting(1).setting("two");
        explanation
            .part("C")
            .count(0, "call")
            .count(1, "call")
            .count(2, "call");
        let text = "1. A\n2. B: 1; two\n3. C: 0 calls; 1 call; 2 calls\n";
        assert_eq!(explanation.to_string(), text);
        assert!(explanation.parts()[1].settings().eq(["1", "two"]));
    }
}
