//! The program: parses its arguments and calls the library.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// tract asks for aligned memory with every forecast, which the C library of Debian 12 takes and gives back in a way that
/// never lets it be used again: a long evaluation grew by a window for every forecast. Without huge pages, of which a small
/// daemon would fill but a corner each.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            let is_broken_pipe = error.chain().any(|cause| {
                cause
                    .downcast_ref::<std::io::Error>()
                    .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
            });
            if is_broken_pipe {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, but for those that an error before them has quoted.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}
