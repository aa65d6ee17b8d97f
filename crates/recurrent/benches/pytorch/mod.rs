//! Times the recurrent layers of PyTorch in a process of its own, for benches that time ours in turn with them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The PyTorch script, waiting for cases.
pub(crate) struct PyTorch {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PyTorch {
    /// Starts the script with the interpreter that the variable `PYTHON` names, or `python3`; none if that lacks PyTorch.
    ///
    /// Inference cases go through `windows` sequences.
    pub(crate) fn start(threads: usize, windows: usize) -> Option<Self> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let mut child = Command::new(python)
            .args(["-c", include_str!("recurrent.py"), &threads.to_string(), &windows.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let input = child.stdin.take()?;
        let mut output = BufReader::new(child.stdout.take()?);
        let mut ready = String::new();
        output.read_line(&mut ready).ok()?;
        let version = ready.strip_prefix("ready ")?;
        println!("PyTorch {}", version.trim());
        Some(Self { child, input, output })
    }

    /// The milliseconds of each of so many repetitions of a case.
    pub(crate) fn milliseconds(&mut self, case: &str, repetitions: usize) -> Option<Vec<f64>> {
        writeln!(self.input, "{case} {repetitions}").ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        line.split_whitespace().map(|word| word.parse().ok()).collect()
    }
}

impl Drop for PyTorch {
    fn drop(&mut self) {
        // A script that is gone already needs no stopping.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
