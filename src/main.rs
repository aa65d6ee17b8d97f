//! The program: parses its arguments and calls the library.

mod cli;
mod printable;

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
            // With its causes, in one line.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
