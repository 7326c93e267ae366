//! Orders that do not do what was meant.

use super::{Part, Role};

/// What is wrong with these parts, a sentence for each.
pub(super) fn warnings(parts: &[Part]) -> Vec<String> {
    let stack = Stack { parts };
    let mut warnings = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let found = [
            stack.time_inside_of_retries(place),
            stack.retries_inside_of_retries(place),
            stack.limits_alone(place),
            stack.hedges_one_connection(place),
            stack.never_sheds(place),
            stack.policies_come_too_late(place),
            stack.marks_are_lost(place),
            stack.inherits_too_early(place),
        ];
        let name = part.name();
        let found = found.into_iter().flatten();
        warnings.extend(found.map(|text| format!("{name} {text}")));
    }
    warnings.extend(stack.no_time());
    warnings
}

/// What each of these asks: whether the part at a place is wrong there, and why.
#[derive(Clone, Copy)]
struct Stack<'a> {
    parts: &'a [Part],
}

const TIME: [Role; 2] = [Role::AttemptTime, Role::CallTime];

impl<'a> Stack<'a> {
    fn time_inside_of_retries(self, place: usize) -> Option<String> {
        self.is(place, Role::Repeats)?;
        let has_time = |part: &&Part| TIME.iter().any(|role| part.has(*role));
        let inside = self.inside(place).iter().find(has_time)?.name();
        let is_outside = self.outside(place).iter().any(|part| has_time(&part));
        let text = format!(
            "is outside of the only limit of time, {inside}: each attempt has one, and the call as a whole has none"
        );
        (!is_outside).then_some(text)
    }

    fn retries_inside_of_retries(self, place: usize) -> Option<String> {
        self.is(place, Role::Repeats)?;
        let inside = self.first_inside(place, Role::Repeats)?;
        Some(format!(
            "is outside of another layer that repeats calls, {inside}: their attempts multiply"
        ))
    }

    fn limits_alone(self, place: usize) -> Option<String> {
        self.is(place, Role::LimitsAlone)?;
        if self
            .outside(place)
            .iter()
            .any(|part| part.has(Role::Connection))
        {
            // On each replica it is meant to be alone.
            return None;
        }
        let text = "shares its limit with nobody: every stack that is built, for a connection or a task, has all of it";
        Some(text.to_owned())
    }

    fn hedges_one_connection(self, place: usize) -> Option<String> {
        self.is(place, Role::Hedges)?;
        // Inside of several replicas there is a single connection too.
        let mut inside = self.inside(place).iter();
        let end = inside.find(|part| part.has(Role::Connection))?;
        let text = format!(
            "is over a single connection, {}: a second attempt goes where the first one waits",
            end.name()
        );
        end.has(Role::OneConnection).then_some(text)
    }

    fn never_sheds(self, place: usize) -> Option<String> {
        self.is(place, Role::Sheds)?;
        // Those that say nothing are as ready as what is inside of them.
        let says = |part: &&Part| {
            let roles = [
                Role::AlwaysReady,
                Role::Limits,
                Role::LimitsAlone,
                Role::Unknown,
            ];
            roles.iter().any(|role| part.has(*role))
        };
        let inside = self.inside(place).iter().find(says)?;
        let text = format!(
            "never refuses a call: what is inside of it, {}, is always ready",
            inside.name()
        );
        inside.has(Role::AlwaysReady).then_some(text)
    }

    fn policies_come_too_late(self, place: usize) -> Option<String> {
        self.is(place, Role::ObeysPolicies)?;
        let inside = self.first_inside(place, Role::Policies)?;
        Some(format!(
            "is outside of {inside}, and does not see what holds for each method"
        ))
    }

    /// On a client, where requests go inwards.
    fn marks_are_lost(self, place: usize) -> Option<String> {
        self.is(place, Role::MarksBodies)?;
        self.first_inside(place, Role::Connection)?;
        let inside = self.first_inside(place, Role::ReplacesBodies)?;
        Some(format!(
            "marks bodies that {inside} inside of it replaces: the marks are lost"
        ))
    }

    fn inherits_too_early(self, place: usize) -> Option<String> {
        self.is(place, Role::Inherits)?;
        let inside = self.first_inside(place, Role::CallTime)?;
        Some(format!(
            "is outside of {inside}: what handlers call does not inherit its limit"
        ))
    }

    fn no_time(self) -> Option<String> {
        let has_time = |part: &Part| TIME.iter().any(|role| part.has(*role));
        let end = self.parts.iter().find(|part| part.has(Role::Connection))?;
        let text = format!(
            "nothing limits the time of a call to {}, unless the caller does",
            end.name()
        );
        (!self.parts.iter().any(has_time)).then_some(text)
    }

    fn is(self, place: usize, role: Role) -> Option<()> {
        self.parts[place].has(role).then_some(())
    }

    fn outside(self, place: usize) -> &'a [Part] {
        &self.parts[..place]
    }

    fn inside(self, place: usize) -> &'a [Part] {
        &self.parts[place + 1..]
    }

    /// The name of the first part inside that does this.
    fn first_inside(self, place: usize, role: Role) -> Option<&'a str> {
        let inside = self.inside(place).iter();
        inside
            .map(Some)
            .find(|part| part.is_some_and(|part| part.has(role)))?
            .map(Part::name)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Explanation, *};

    fn told(parts: &[(&'static str, &[Role])]) -> Vec<String> {
        let mut explanation = Explanation::default();
        for (name, roles) in parts {
            let part = explanation.part(*name);
            for role in *roles {
                part.role(*role);
            }
        }
        explanation.warnings()
    }

    const RETRY: (&str, &[Role]) = ("Retry", &[Role::Repeats, Role::ObeysPolicies]);
    const CALL: (&str, &[Role]) = ("Timeout", &[Role::CallTime, Role::ObeysPolicies]);
    const ATTEMPT: (&str, &[Role]) = ("Attempt", &[Role::AttemptTime]);
    const SHED: (&str, &[Role]) = ("Shed", &[Role::Sheds]);
    const LIMIT: (&str, &[Role]) = ("Limit", &[Role::Limits]);
    const RATE: (&str, &[Role]) = ("Rate", &[Role::LimitsAlone]);
    const POLICIES: (&str, &[Role]) = ("Policies", &[Role::Policies]);
    const PLAIN: (&str, &[Role]) = ("Plain", &[]);
    const OTHER: (&str, &[Role]) = ("Other", &[Role::Unknown]);
    const COMPRESS: (&str, &[Role]) = ("Compress", &[Role::MarksBodies, Role::ObeysPolicies]);
    const TRANSFORM: (&str, &[Role]) = ("Transform", &[Role::ReplacesBodies]);
    const CHANNEL: (&str, &[Role]) = (
        "Channel",
        &[Role::AlwaysReady, Role::Connection, Role::OneConnection],
    );
    const REPLICAS: (&str, &[Role]) = ("Replicas", &[Role::AlwaysReady, Role::Connection]);

    #[test]
    fn an_order_that_does_what_was_meant_has_no_warnings() {
        let none: [String; 0] = [];
        assert_eq!(told(&[]), none);
        assert_eq!(
            told(&[
                POLICIES, CALL, RETRY, ATTEMPT, TRANSFORM, COMPRESS, REPLICAS
            ]),
            none
        );
        assert_eq!(told(&[SHED, PLAIN, LIMIT, CALL, CHANNEL]), none);
        assert_eq!(told(&[SHED, OTHER, CALL, CHANNEL]), none);
        assert_eq!(told(&[CALL, ("Hedge", &[Role::Hedges]), REPLICAS]), none);
        assert_eq!(told(&[ATTEMPT, RETRY, CHANNEL]), none);
        // On each replica.
        assert_eq!(told(&[REPLICAS, ATTEMPT, CHANNEL]), none);
        assert_eq!(
            told(&[CALL, ("Hedge", &[Role::Hedges]), REPLICAS, RATE, CHANNEL]),
            none
        );
        assert_eq!(told(&[CALL, ("Inherit", &[Role::Inherits]), OTHER]), none);
        // On a server answers go the other way.
        assert_eq!(told(&[COMPRESS, TRANSFORM, OTHER]), none);
    }

    #[test]
    fn each_mistake_has_its_warning() {
        for (parts, warning) in [
            (
                &[PLAIN, RETRY, CALL, CHANNEL] as &[_],
                "Retry is outside of the only limit of time, Timeout: each attempt has one, and the call as a whole \
                 has none",
            ),
            (
                &[CALL, RETRY, PLAIN, ("Again", &[Role::Repeats]), CHANNEL],
                "Retry is outside of another layer that repeats calls, Again: their attempts multiply",
            ),
            (
                &[RATE, CALL, CHANNEL],
                "Rate shares its limit with nobody: every stack that is built, for a connection or a task, has all of \
                 it",
            ),
            (
                &[CALL, ("Hedge", &[Role::Hedges]), PLAIN, CHANNEL],
                "Hedge is over a single connection, Channel: a second attempt goes where the first one waits",
            ),
            (
                &[CALL, REPLICAS, ("Hedge", &[Role::Hedges]), CHANNEL],
                "Hedge is over a single connection, Channel: a second attempt goes where the first one waits",
            ),
            (
                &[RETRY, REPLICAS, ATTEMPT, CHANNEL],
                "Retry is outside of the only limit of time, Attempt: each attempt has one, and the call as a whole \
                 has none",
            ),
            (
                &[CALL, REPLICAS, SHED, CHANNEL],
                "Shed never refuses a call: what is inside of it, Channel, is always ready",
            ),
            (
                &[SHED, CALL, REPLICAS, LIMIT],
                "Shed never refuses a call: what is inside of it, Replicas, is always ready",
            ),
            (
                &[CALL, POLICIES, RETRY, CHANNEL],
                "Timeout is outside of Policies, and does not see what holds for each method",
            ),
            (
                &[CALL, COMPRESS, TRANSFORM, CHANNEL],
                "Compress marks bodies that Transform inside of it replaces: the marks are lost",
            ),
            (
                &[("Inherit", &[Role::Inherits]), CALL, OTHER],
                "Inherit is outside of Timeout: what handlers call does not inherit its limit",
            ),
            (
                &[RETRY, REPLICAS],
                "nothing limits the time of a call to Replicas, unless the caller does",
            ),
        ] {
            assert_eq!(told(parts), [warning]);
        }
    }
}
