//! A wrong stack is refused by the compiler in a sentence, not in a page.
//!
//! The compiler's wording differs by version, so this runs only where asked for, with the version that
//! `.ci/run` pins: `cargo test --test compile_fail -- --ignored`. To accept a new wording, set
//! `TRYBUILD=overwrite` and read what changed.

#[test]
#[ignore = "the wording of the compiler differs by version; .ci/run has the right one"]
fn a_wrong_stack_is_refused_with_a_readable_reason_and_its_advice_compiles() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
    cases.pass("tests/compile_pass/*.rs");
}
