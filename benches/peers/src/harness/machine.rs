//! On what, with what and when a run was made.

use std::fs;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::cli::Cli;

/// The lock file says which versions were compiled.
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// Null where the system does not tell.
pub(super) fn describe(cli: &Cli) -> Value {
    let crates = ["tokio", "bytes", "tarpc", "tonic", "prost"]
        .map(|name| (name.to_owned(), json!(locked(name))));
    json!({
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": thread::available_parallelism().ok().map(usize::from),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": output("uname", &["-sr"]),
        "load_before": fs::read_to_string("/proc/loadavg").ok().map(|load| load.trim().to_owned()),
        "date": output("date", &["-u", "+%F"]),
        "rustc": output("rustc", &["-V"]),
        "revision": output("git", &["describe", "--always", "--dirty"]),
        "crates": serde_json::Map::from_iter(crates),
        "runtime": format!("{:?}", cli.runtime).to_lowercase(),
        "secs": cli.secs,
        "warmup_secs": cli.warmup,
        "rounds": cli.rounds,
    })
}

/// On one line, as it stands under a table.
pub(super) fn summary(machine: &Value) -> String {
    let known = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
    let rustc = known("rustc");
    let crates = machine["crates"].as_object().into_iter().flatten();
    let crates = crates.filter_map(|(name, version)| Some(format!("{name} {}", version.as_str()?)));
    let made: Vec<_> = [
        format!("{} × {}", machine["cpus"], known("cpu")),
        known("kernel"),
        rustc.split(" (").next().unwrap_or(&rustc).to_owned(),
    ]
    .into_iter()
    .chain(crates)
    .collect();
    format!(
        "Medians of {} rounds of {} s, {} runtime, {}, at revision {}: {}.",
        machine["rounds"],
        machine["secs"],
        known("runtime"),
        known("date"),
        known("revision"),
        made.join(", "),
    )
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn locked(name: &str) -> Option<&'static str> {
    let (_, package) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    package.split('"').next()
}
