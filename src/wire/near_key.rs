//! Keys that are nearly ours: `air_temperature_f`, `humidity`, `Temperature_C`, `windDir`.

use std::sync::LazyLock;

use forecastd_core::Quantity;

/// Two keys are one with a slip of the pen where they are as similar as this, from 0 to 1.
const SIMILAR: f64 = 0.85;

/// Names of units, and words that say nothing of which quantity it is, as stations write them.
const BESIDE: &[&str] = &[
    "c",
    "f",
    "k",
    "celsius",
    "fahrenheit",
    "kelvin",
    "degc",
    "degf",
    "pct",
    "percent",
    "hpa",
    "pa",
    "kpa",
    "mbar",
    "mb",
    "inhg",
    "mmhg",
    "m",
    "s",
    "ms",
    "mps",
    "km",
    "h",
    "kmh",
    "kph",
    "mph",
    "kt",
    "kn",
    "knot",
    "knots",
    "deg",
    "degrees",
    "g",
    "kg",
    "m3",
    "mmol",
    "mol",
    "air",
    "relative",
    "rel",
    "out",
    "outdoor",
    "outside",
    "avg",
    "mean",
    "current",
];

/// A key of ours and the words in it that say which quantity it is.
struct Key {
    key: &'static str,
    words: Vec<String>,
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let key = |quantity: Quantity| Key { key: quantity.key(), words: telling_words(quantity.key()) };
    Quantity::ALL.into_iter().map(key).collect()
});

/// The key of ours that a key may be meant for: one that it is a slip of the pen away from, or that says the same of
/// the quantity with another unit or shorter words.
pub(super) fn nearest_key(key: &str) -> Option<&'static str> {
    // Longer ones are no key that a person wrote, and would take long.
    if key.len() > 64 {
        return None;
    }
    let lower = key.to_lowercase();
    let similarity = |known: &Key| strsim::normalized_damerau_levenshtein(&lower, known.key);
    let most_similar = KEYS.iter().max_by(|left, right| similarity(left).total_cmp(&similarity(right)));
    if let Some(known) = most_similar.filter(|known| similarity(known) >= SIMILAR) {
        return Some(known.key);
    }
    let words = telling_words(key);
    let says_the_same = |known: &&Key| {
        let joined = words.concat();
        let are_same = words.len() == known.words.len()
            && words.iter().zip(&known.words).all(|(word, whole)| is_short_for(word, whole));
        are_same || !words.is_empty() && joined == known.words.concat()
    };
    KEYS.iter().find(says_the_same).map(|known| known.key)
}

/// The words of a key in lower case, without those that say nothing of which quantity it is.
fn telling_words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in key.chars() {
        let begins = character.is_uppercase() && was_lower;
        if begins || !character.is_alphanumeric() {
            words.push(String::new());
        }
        was_lower = character.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty() && !BESIDE.contains(&word.as_str()));
    words
}

/// Whether a word is another, or its beginning of three letters or more.
fn is_short_for(word: &str, whole: &str) -> bool {
    word == whole || word.chars().count() >= 3 && whole.starts_with(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_another_unit_shorter_words_or_a_slip_of_the_pen_are_recognised() {
        for (key, meant) in [
            ("air_temperature_f", "air_temperature_c"),
            ("temperature", "air_temperature_c"),
            ("Temperature_C", "air_temperature_c"),
            ("air_temp_c", "air_temperature_c"),
            ("outTemp_C", "air_temperature_c"),
            ("air_temprature_c", "air_temperature_c"),
            ("humidity", "relative_humidity_pct"),
            ("outHumidity", "relative_humidity_pct"),
            ("relative_humidity", "relative_humidity_pct"),
            ("pressure_mbar", "air_pressure_hpa"),
            ("dewpoint", "dew_point_c"),
            ("DewPoint", "dew_point_c"),
            ("windSpeed_kph", "wind_speed_m_s"),
            ("windGust", "wind_gust_m_s"),
            ("windDir", "wind_direction_deg"),
            ("wind_dir_deg", "wind_direction_deg"),
        ] {
            assert_eq!(nearest_key(key), Some(meant), "{key}");
        }
    }

    #[test]
    fn keys_of_other_things_are_not() {
        for key in [
            "",
            "id",
            "model",
            "battery_ok",
            "mic",
            "rain_mm",
            "soil_temperature_c_2",
            "inTemp_C",
            "indoor_humidity",
            "uv_index",
            "wind",
            "speed",
            "c",
            "air",
            "TempUnit",
            "PressureUnit",
            "radiation_Wpm2",
            "latitude",
            "dew_point_depression",
        ] {
            assert_eq!(nearest_key(key), None, "{key}");
        }
        assert_eq!(nearest_key(&"air_temperature_c".repeat(100)), None);
    }
}
