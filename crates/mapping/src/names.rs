//! The names of quantities and units, and what is said of one that is not known.

use forecastd_core::{Quantity, Unit, UnitError};

use crate::measured::Measured;

/// Other names by which the field knows a quantity, in lower case without `_`, `-` and spaces.
const ALIASES: &[(&str, Measured)] = &[
    ("temperature", Measured::Quantity(Quantity::AirTemperature)),
    ("temp", Measured::Quantity(Quantity::AirTemperature)),
    ("outdoortemperature", Measured::Quantity(Quantity::AirTemperature)),
    ("pressure", Measured::Quantity(Quantity::AirPressure)),
    ("stationpressure", Measured::Quantity(Quantity::AirPressure)),
    ("surfaceairpressure", Measured::Quantity(Quantity::AirPressure)),
    ("absolutepressure", Measured::Quantity(Quantity::AirPressure)),
    ("pressureatsealevel", Measured::PressureAtSeaLevel),
    ("sealevelpressure", Measured::PressureAtSeaLevel),
    ("airpressureatsealevel", Measured::PressureAtSeaLevel),
    ("relativepressure", Measured::PressureAtSeaLevel),
    ("qnh", Measured::AltimeterSetting),
    ("altimeter", Measured::AltimeterSetting),
    ("humidity", Measured::Quantity(Quantity::RelativeHumidity)),
    ("rh", Measured::Quantity(Quantity::RelativeHumidity)),
    ("dewpoint", Measured::Quantity(Quantity::DewPointTemperature)),
    ("windgust", Measured::Quantity(Quantity::WindSpeedOfGust)),
    ("gust", Measured::Quantity(Quantity::WindSpeedOfGust)),
    ("wind", Measured::Quantity(Quantity::WindSpeed)),
    ("winddirection", Measured::Quantity(Quantity::WindFromDirection)),
    ("potentialtemperature", Measured::Quantity(Quantity::AirPotentialTemperature)),
    ("vaporpressure", Measured::Quantity(Quantity::VaporPressure)),
    ("vapourpressure", Measured::Quantity(Quantity::VaporPressure)),
];

/// Names are suggested that are at least as similar as this, from 0 to 1.
const SIMILAR: f64 = 0.6;
/// And no more than so many.
const MOST_SUGGESTIONS: usize = 3;

/// A name that is no quantity's, or no unit's of the quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No quantity has the name.
    #[error("unknown quantity {name:?}; {}", suggested(.suggestions))]
    Quantity {
        /// The name that stands for a quantity.
        name: String,
        /// The names that may be meant; every name where none is near.
        suggestions: Vec<&'static str>,
    },
    /// No unit has the name.
    #[error("unknown unit {name:?} of {quantity}; {}", suggested(.suggestions))]
    Unit {
        /// The name that stands for a unit.
        name: String,
        /// Of what it was to be the unit.
        quantity: Measured,
        /// The units that may be meant; every unit of the quantity where none is near.
        suggestions: Vec<&'static str>,
    },
    /// The unit measures something else.
    #[error("{name:?} is no unit of {quantity}; {}", suggested(.suggestions))]
    Mismatch {
        /// The unit's name.
        name: String,
        /// Of what it was to be the unit.
        quantity: Measured,
        /// Every unit of the quantity.
        suggestions: Vec<&'static str>,
    },
}

fn suggested(names: &[&'static str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    match quoted.as_slice() {
        [] => "nothing is near".to_owned(),
        [one] => format!("did you mean {one}?"),
        several => format!("one of {}", several.join(", ")),
    }
}

/// Lower case without what separates words.
fn folded(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What goes by a name: a CF standard name, a key of the canonical reading, or an alias.
///
/// # Errors
/// [`NameError::Quantity`] with the nearest names.
pub fn quantity(name: &str) -> Result<Measured, NameError> {
    if let Some(measured) = Measured::all().find(|measured| measured.name() == name) {
        return Ok(measured);
    }
    let wanted = folded(name);
    let by_key = || Quantity::from_key(name).map(Measured::Quantity);
    let by_fold = || Measured::all().find(|measured| folded(measured.name()) == wanted);
    let by_alias = || ALIASES.iter().find(|(alias, _)| *alias == wanted).map(|(_, measured)| *measured);
    by_key().or_else(by_fold).or_else(by_alias).ok_or_else(|| {
        let known = Measured::all().map(|measured| (measured.name(), measured.name()));
        let aliases = ALIASES.iter().map(|(alias, measured)| (*alias, measured.name()));
        let mut suggestions = nearest(&wanted, known.chain(aliases));
        if suggestions.is_empty() {
            suggestions = Measured::all().map(Measured::name).collect();
        }
        NameError::Quantity { name: name.to_owned(), suggestions }
    })
}

/// The unit of this name for a value of `measured`.
///
/// # Errors
/// [`NameError`] with the units that may be meant.
pub fn unit(name: &str, measured: Measured) -> Result<Unit, NameError> {
    Unit::of_quantity(name, measured.quantity()).map_err(|error| {
        let all = || Unit::all(measured.quantity());
        let every = || all().map(|(unit, _)| unit).collect::<Vec<_>>();
        let (name, quantity) = (name.to_owned(), measured);
        match error {
            UnitError::Mismatch { .. } => NameError::Mismatch { name, quantity, suggestions: every() },
            UnitError::Unknown(_) => {
                let names = all().flat_map(|(unit, aliases)| {
                    std::iter::once((unit, unit)).chain(aliases.iter().map(move |alias| (*alias, unit)))
                });
                let mut suggestions = nearest(&name.to_lowercase(), names);
                if suggestions.is_empty() {
                    suggestions = every();
                }
                NameError::Unit { name, quantity, suggestions }
            }
        }
    })
}

/// The names that are nearest to `wanted`, best first, each once. Of a pair, the first is compared, the second said.
pub(crate) fn nearest(
    wanted: &str,
    names: impl Iterator<Item = (&'static str, &'static str)>,
) -> Vec<&'static str> {
    let similarity = |name: &str| {
        let (wanted, name) = (folded(wanted), folded(name));
        strsim::jaro_winkler(&wanted, &name).min(strsim::normalized_damerau_levenshtein(&wanted, &name) + 0.2)
    };
    let mut scored: Vec<(f64, &'static str)> = names
        .map(|(compared, said)| (similarity(compared), said))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    let mut suggestions: Vec<&'static str> = Vec::new();
    for (_, said) in scored {
        if !suggestions.contains(&said) {
            suggestions.push(said);
        }
    }
    suggestions.truncate(MOST_SUGGESTIONS);
    suggestions
}

/// One line of the list of quantities.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedQuantity {
    /// CF standard name, or one in its style.
    pub name: &'static str,
    /// Unit in which values are kept, as a person reads it.
    pub unit: &'static str,
    /// Key of the canonical JSON reading, where there is one.
    pub key: Option<&'static str>,
    /// The lowest and highest value that is taken for a measurement.
    pub plausible: (f32, f32),
    /// Every unit it may be given in, each with its other names.
    pub units: Vec<(&'static str, &'static [&'static str])>,
}

/// Every quantity with its units: what `forecastd quantities` prints.
pub fn list() -> Vec<ListedQuantity> {
    let listed = |measured: Measured| {
        let quantity = measured.quantity();
        ListedQuantity {
            name: measured.name(),
            unit: quantity.unit(),
            key: matches!(measured, Measured::Quantity(_)).then(|| quantity.key()),
            plausible: quantity.plausible_range(),
            units: Unit::all(quantity).collect(),
        }
    };
    Measured::all().map(listed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_go_by_their_standard_name_their_key_and_their_usual_names() {
        for (name, measured) in [
            ("air_temperature", Measured::Quantity(Quantity::AirTemperature)),
            ("air_temperature_c", Measured::Quantity(Quantity::AirTemperature)),
            ("Temperature", Measured::Quantity(Quantity::AirTemperature)),
            ("Dew Point", Measured::Quantity(Quantity::DewPointTemperature)),
            ("wind gust", Measured::Quantity(Quantity::WindSpeedOfGust)),
            ("sea_level_pressure", Measured::PressureAtSeaLevel),
            ("air_pressure_at_mean_sea_level", Measured::PressureAtSeaLevel),
            ("QNH", Measured::AltimeterSetting),
        ] {
            assert_eq!(quantity(name), Ok(measured), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_ones() {
        let error = quantity("air_temprature").unwrap_err().to_string();
        assert!(
            error.starts_with("unknown quantity \"air_temprature\"; ")
                && error.contains("\"air_temperature\"")
        );
        let error = quantity("warmth").unwrap_err().to_string();
        assert!(error.contains("\"air_temperature\"") && error.contains("\"wind_speed\""), "{error}");
        let wind = Measured::Quantity(Quantity::WindSpeed);
        let error = unit("knotts", wind).unwrap_err().to_string();
        assert!(error.contains("unknown unit \"knotts\" of wind_speed; did you mean \"knot\"?"), "{error}");
        let error = unit("hPa", wind).unwrap_err().to_string();
        assert!(error.contains("\"hPa\" is no unit of wind_speed; one of \"m/s\", \"km/h\""), "{error}");
    }

    #[test]
    fn the_list_has_every_quantity_with_its_units() {
        let list = list();
        assert_eq!(list.len(), Quantity::COUNT + 2);
        for quantity in &list {
            assert!(!quantity.units.is_empty(), "{}", quantity.name);
            for (name, aliases) in &quantity.units {
                let measured = super::quantity(quantity.name).unwrap();
                for name in std::iter::once(name).chain(aliases.iter()) {
                    assert!(unit(name, measured).is_ok(), "{name} of {}", quantity.name);
                }
            }
        }
    }
}
