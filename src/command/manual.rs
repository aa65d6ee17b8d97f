//! Manual pages: one for each command, from the definition of the command line, and one for the configuration, from the
//! shipped default.

use std::io::{self, Write};
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::config::{KeyGroup, reference};

/// Prints the page of the program itself.
///
/// # Errors
/// When the output is gone.
pub fn print(command: clap::Command, output: &mut dyn Write) -> io::Result<()> {
    Man::new(command.disable_help_subcommand(true)).render(output)
}

/// Writes every page into a folder, which is made where it is not there: `forecastd.1`, `forecastd-COMMAND.1` and
/// `forecastd.toml.5`.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(command: clap::Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let version = command.get_version().unwrap_or_default().to_owned();
    clap_mangen::generate_to(command, folder)?;
    std::fs::write(folder.join("forecastd.toml.5"), configuration(&version))
}

/// The page of the configuration.
fn configuration(version: &str) -> String {
    let mut page = Roff::new();
    let source = format!("forecastd {version}");
    page.control("TH", ["forecastd.toml", "5", "", &source, ""]);
    page.control("SH", ["NAME"]);
    page.text([roman("forecastd.toml - configuration of forecastd")]);
    page.control("SH", ["DESCRIPTION"]);
    let mut section = String::new();
    for KeyGroup { section: of, text, keys } in reference() {
        if of != section && !of.is_empty() {
            page.control("SH", [format!("[{of}]").as_str()]);
            section = of;
        }
        if text.starts_with("[[") {
            page.control("SH", ["EXAMPLES OF SOURCES"]);
            page.control("nf", []);
            for line in text.lines() {
                page.text([roman(line)]);
            }
            page.control("fi", []);
            continue;
        }
        if keys.is_empty() {
            page.control("PP", []);
        }
        for (index, (name, default)) in keys.iter().enumerate() {
            page.control(if index == 0 { "TP" } else { "TQ" }, []);
            page.text([bold(name), roman(" = "), italic(default)]);
        }
        page.text([roman(text)]);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("forecastd"), roman("(1), "), bold("forecastd-check"), roman("(1)")]);
    page.render()
}
