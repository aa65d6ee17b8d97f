//! Quantities and units that a mapping can name.

use std::io::Write;

use forecastd_mapping::{ListedQuantity, PRESETS, PresetKind, list};

/// Prints every quantity with its units and their other names, and every preset.
///
/// # Errors
/// When the output is gone.
pub fn run(output: &mut impl Write) -> std::io::Result<()> {
    writeln!(output, "quantities, each with its units; values are kept in the first")?;
    for ListedQuantity { name, unit, key, plausible: (low, high), units } in list() {
        writeln!(output, "\n{name}: {low} to {high} {unit}")?;
        if let Some(key) = key {
            writeln!(output, "  key of the canonical reading: {key}")?;
        }
        for (unit, aliases) in units {
            match aliases {
                [] => writeln!(output, "  {unit}")?,
                aliases => writeln!(output, "  {unit} (also {})", aliases.join(", "))?,
            }
        }
    }
    for (kind, title) in
        [(PresetKind::Payload, "for messages ([[source]])"), (PresetKind::Table, "for files (--mapping)")]
    {
        writeln!(output, "\npresets {title}")?;
        for preset in PRESETS.iter().filter(|preset| preset.kind == kind) {
            writeln!(output, "  {}: {}", preset.name, preset.title)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_unit_of_a_case_file_is_listed() {
        let mut text = Vec::new();
        super::run(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for name in ["kt", "℃", "celsius", "hPa", "air_pressure_at_mean_sea_level", "tasmota", "dwd"] {
            assert!(text.contains(name), "{name}");
        }
    }
}
