//! Instructions, which callgrind counts in another process of this program.

use std::{
    env, fs,
    process::{self, Command},
};

use crate::scenarios::Scenario;

/// The variable that tells the other process what to run.
const SCENARIO: &str = "GUARD_SCENARIO";

/// What callgrind counts in.
const MEASURED: &str = "guard::scenarios::measured";

/// The scenario that this process is to run, if it is the other.
pub(crate) fn asked_for() -> Option<String> {
    env::var(SCENARIO).ok()
}

/// Instructions per call of a scenario, the runtime's and those of the counting included.
///
/// # Panics
/// If there is no valgrind, or it fails.
pub(crate) fn per_call(scenario: &Scenario) -> f64 {
    let program = env::current_exe().expect("a program");
    let counts = env::temp_dir().join(format!("guard-{}.callgrind", process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args(["--ignored", "--test-threads=1"])
        .env(SCENARIO, scenario.name)
        .output()
        .expect("valgrind is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "valgrind: {said}");
    let text = fs::read_to_string(&counts).expect("what callgrind has counted");
    drop(fs::remove_file(&counts));
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: f64 = total.expect("a total").trim().parse().expect("a number");
    assert!(total > 0.0, "callgrind counts nothing in {MEASURED}");
    total / scenario.measured_calls() as f64
}
