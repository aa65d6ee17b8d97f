//! Prometheus' own check of a scrape.

use std::io::Write;
use std::process::{Command, Stdio};

/// Lets `promtool check metrics` read a scrape; it must find nothing to say.
///
/// # Panics
/// When it does, or is not installed.
pub fn check(scrape: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.expect("promtool is installed (Debian: apt-get install prometheus)");
    promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}");
}
