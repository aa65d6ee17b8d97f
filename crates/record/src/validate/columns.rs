//! The values of one column, and of columns that depend on each other.

use forecastd_core::{Quantity, pressure_from_altimeter_setting_hpa, thermodynamics};

use super::{Evidence, Suspicion, quantile, sorted};

/// Fewer values than this say nothing.
const ENOUGH: usize = 24;

pub(super) fn validate(record: &Evidence<'_>) -> Vec<Suspicion> {
    let checks: [fn(&Evidence<'_>) -> Option<Suspicion>; 7] =
        [temperature, humidity, pressure, direction, gusts, moisture, dew_point];
    let mut suspicions: Vec<Suspicion> = checks.iter().filter_map(|check| check(record)).collect();
    for quantity in Quantity::ALL {
        if suspicions.iter().all(|known| known.about != quantity.name()) {
            suspicions.extend(sentinel(record, quantity));
        }
    }
    suspicions
}

fn suspicion(quantity: Quantity, message: String) -> Option<Suspicion> {
    Some(Suspicion { about: quantity.name(), message })
}

/// Kelvin, tenths and Fahrenheit leave the range of Celsius, if not always.
fn temperature(record: &Evidence<'_>) -> Option<Suspicion> {
    let quantity = Quantity::AirTemperature;
    let values = sorted(record.values(quantity));
    if values.len() < ENOUGH {
        return None;
    }
    let (_, limit) = quantity.plausible_range();
    let above = &values[values.partition_point(|value| *value <= limit)..];
    let share = above.len() as f64 / values.len() as f64;
    // One mark for missing values, however often, is no unit.
    let mut distinct = above.to_vec();
    distinct.dedup();
    if share < 0.01 || distinct.len() < 5 {
        return None;
    }
    let (median, highest) = (quantile(&values, 0.5), quantile(&values, 1.0));
    let unit = match median {
        220.0..330.0 if quantile(&values, 0.01) > 150.0 => "K",
        _ if highest > 140.0 && values.iter().all(|value| value.fract() == 0.0) => "0.1 degC",
        _ => "degF",
    };
    suspicion(
        quantity,
        format!(
            "{:.0} % of the values are above {limit} °C, the highest is {highest}: is the unit {unit:?}?",
            100.0 * share
        ),
    )
}

/// A fraction of one is in the range of per cent.
fn humidity(record: &Evidence<'_>) -> Option<Suspicion> {
    let values = record.values(Quantity::RelativeHumidity);
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (values.len() >= ENOUGH && (0.0..=1.05).contains(&highest)).then(|| {
        let message = format!("never above 1.05 %, the highest is {highest}: is the unit \"1\"?");
        Suspicion { about: Quantity::RelativeHumidity.name(), message }
    })
}

/// Other units, and a pressure that is reduced to sea level.
fn pressure(record: &Evidence<'_>) -> Option<Suspicion> {
    let values = sorted(record.values(Quantity::AirPressure));
    if values.len() < ENOUGH {
        return None;
    }
    let median = quantile(&values, 0.5);
    let unit = match median {
        0.45..1.1 => Some("bar"),
        15.0..33.0 => Some("inHg"),
        45.0..110.0 => Some("kPa"),
        4_500.0..11_000.0 => Some("0.1 hPa"),
        45_000.0..110_000.0 => Some("Pa"),
        _ => None,
    };
    if let Some(unit) = unit {
        return suspicion(
            Quantity::AirPressure,
            format!("the median is {median} hPa: is the unit {unit:?}?"),
        );
    }
    let expected = pressure_from_altimeter_setting_hpa(1013.25, record.elevation_m?) as f32;
    let of_mmhg = (median * 1.333_224 - expected).abs();
    match (median - expected).abs() {
        // Means of a month are within 30 hPa of the standard atmosphere.
        ..35.0 => None,
        _ if (median - 1013.25).abs() < 20.0 => suspicion(
            Quantity::AirPressure,
            format!(
                "the median is {median} hPa where {expected:.0} are expected at this elevation: is it reduced to sea level \
                 (air_pressure_at_mean_sea_level)?"
            ),
        ),
        _ if of_mmhg < 35.0 => suspicion(
            Quantity::AirPressure,
            format!("the median is {median} hPa where {expected:.0} are expected: is the unit \"mmHg\"?"),
        ),
        _ => suspicion(
            Quantity::AirPressure,
            format!("the median is {median} hPa where {expected:.0} are expected: is elevation_m right?"),
        ),
    }
}

/// Wind from all directions goes up to 360.
fn direction(record: &Evidence<'_>) -> Option<Suspicion> {
    let values = record.values(Quantity::WindFromDirection);
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if values.len() < 2 * ENOUGH || highest <= 0.0 {
        return None;
    }
    let unit = match highest {
        ..6.3 if values.iter().any(|value| value.fract() != 0.0) => "rad",
        ..36.5 if highest > 20.0 => "10 deg",
        _ => return None,
    };
    suspicion(Quantity::WindFromDirection, format!("never above {highest}°: is the unit {unit:?}?"))
}

/// No gust is slower than the mean wind.
fn gusts(record: &Evidence<'_>) -> Option<Suspicion> {
    let pairs = record.readings.iter().filter_map(|(_, values)| {
        Some((values.get(Quantity::WindSpeed)?, values.get(Quantity::WindSpeedOfGust)?))
    });
    // A gust of zero is how some stations write that there was none.
    let pairs: Vec<(f32, f32)> = pairs.filter(|(wind, gust)| *wind > 0.5 && *gust > 0.0).collect();
    let slower = pairs.iter().filter(|(wind, gust)| gust < wind).count();
    if pairs.len() < 2 * ENOUGH || slower * 10 < pairs.len() * 3 {
        return None;
    }
    suspicion(
        Quantity::WindSpeedOfGust,
        format!(
            "slower than the mean wind in {:.0} % of the rows: have both the unit that the file gives them in?",
            100.0 * slower as f64 / pairs.len() as f64
        ),
    )
}

/// No place on earth is as moist as 50 °F and 90 %, taken for °C.
fn moisture(record: &Evidence<'_>) -> Option<Suspicion> {
    // 35 °C is the highest dew point that was ever measured (Dhahran, 2003; Weather and Climate Extremes Archive: AMS).
    const MOIST_C: f32 = 34.0;
    let dew_points = sorted(computed_dew_points(record).map(|(computed, _)| computed).collect());
    let high = quantile(&dew_points, 0.95);
    if dew_points.len() < ENOUGH || high.is_nan() || high <= MOIST_C {
        return None;
    }
    suspicion(
        Quantity::AirTemperature,
        format!(
            "with the humidity beside it, the dew point is above {high:.0} °C for 5 % of the time, as nowhere on earth: is the unit \"degF\"?"
        ),
    )
}

/// Temperature, humidity and dew point depend on each other.
fn dew_point(record: &Evidence<'_>) -> Option<Suspicion> {
    const APART_C: f32 = 3.0;
    let differences = computed_dew_points(record)
        .filter_map(|(computed, measured)| Some((computed - measured?).abs()))
        .collect::<Vec<f32>>();
    let median = quantile(&sorted(differences.clone()), 0.5);
    if differences.len() < ENOUGH || median.is_nan() || median <= APART_C {
        return None;
    }
    suspicion(
        Quantity::DewPointTemperature,
        format!(
            "{median:.1} °C from the dew point that follows from temperature and humidity, in the median: are all three of \
             one place, and their units right?"
        ),
    )
}

/// The dew points that follow from temperature and humidity in range, and the measured ones beside them.
fn computed_dew_points<'a>(record: &'a Evidence<'_>) -> impl Iterator<Item = (f32, Option<f32>)> + 'a {
    record.readings.iter().filter_map(|(_, values)| {
        let in_range = |quantity: Quantity| {
            values.get(quantity).filter(|value| quantity.is_plausible(*value)).map(f64::from)
        };
        let temperature = in_range(Quantity::AirTemperature)?;
        // Below this the instruments are wrong by more than what is looked for.
        let humidity = in_range(Quantity::RelativeHumidity).filter(|humidity| *humidity > 1.5)?;
        let saturation = thermodynamics::saturation_vapor_pressure_hpa(temperature);
        let computed = thermodynamics::dew_point_c(saturation * humidity / 100.0) as f32;
        Some((computed, in_range(Quantity::DewPointTemperature).map(|value| value as f32)))
    })
}

/// A value that comes again and again, exactly, far from all others: 99 knots.
fn sentinel(record: &Evidence<'_>, quantity: Quantity) -> Option<Suspicion> {
    if quantity == Quantity::WindFromDirection {
        return None;
    }
    let values = record.values(quantity).into_iter().filter(|value| quantity.is_plausible(*value));
    let values = sorted(values.collect());
    if values.len() < 2 * ENOUGH {
        return None;
    }
    let (low, high) = (quantile(&values, 0.0), quantile(&values, 1.0));
    for (mark, is_high) in [(high, true), (low, false)] {
        let count = values.iter().filter(|value| **value == mark).count();
        let rest: Vec<f32> = values.iter().copied().filter(|value| *value != mark).collect();
        if count < 3 || rest.len() < ENOUGH || count * 4 > values.len() {
            continue;
        }
        let nearest = if is_high { rest[rest.len() - 1] } else { rest[0] };
        let spread = rest[rest.len() - 1] - rest[0];
        if (mark - nearest).abs() > spread.max(1.0) {
            let unit = quantity.unit();
            let message = format!(
                "exactly {mark} {unit} {count} times, and never between that and {nearest} {unit}: is it a mark for missing \
                 values (missing = […], as it stands in the file)?"
            );
            return suspicion(quantity, message);
        }
    }
    None
}
