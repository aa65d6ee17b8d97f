//! Values and leads as cells of the tables.
//!
//! A value that is a whole number of hundredths, as nearly every sensor's is, is an INTEGER of hundredths (1 to 3 bytes);
//! any other is a REAL (8 bytes). Both come back bit for bit. Leads are a BLOB: temperature, lower and upper end of the
//! interval as big-endian `i16` hundredths of a degree, [`ABSENT`] where there is none. Leads of 1, 2, 3, … hours follow one
//! [`HOURLY`] byte, [`HOURLY_LEAD_BYTES`] each; before any others stands the lead in hours as one byte, which is never
//! [`HOURLY`], so that they take [`LEAD_BYTES`] each.

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::{Value, ValueRef};

use forecastd_core::{
    Below, DayAhead, Extreme, LeadForecast, Quantity, Values, from_thousandths, to_centidegrees, to_single,
    to_thousandths,
};

/// Bytes of one lead with its hours.
pub(crate) const LEAD_BYTES: usize = 7;

/// Bytes of one lead of as many hours as it is in the row.
pub(crate) const HOURLY_LEAD_BYTES: usize = 6;

/// The first byte of leads of 1, 2, 3, … hours.
const HOURLY: u8 = 0;

/// The most leads of one forecast: the lead is one byte, and leads rise.
pub(crate) const MAX_LEADS: usize = 256;

/// The number that stands for no temperature.
const ABSENT: i16 = i16::MIN;

/// The value of a cell.
#[expect(clippy::cast_possible_truncation, reason = "the conversion saturates, which the comparison sees")]
pub(crate) fn cell(value: Option<f32>) -> Value {
    let Some(value) = value else { return Value::Null };
    let hundredths = (f64::from(value) * 100.0).round();
    let whole = hundredths as i64;
    if from_hundredths(whole).to_bits() == value.to_bits() {
        Value::Integer(whole)
    } else {
        Value::Real(decimal(value))
    }
}

/// What a cell means, or `None` when it is neither a number nor NULL.
pub(crate) fn from_cell(cell: ValueRef<'_>) -> Option<Option<f32>> {
    match cell {
        ValueRef::Null => Some(None),
        ValueRef::Integer(hundredths) => Some(Some(from_hundredths(hundredths))),
        ValueRef::Real(value) => Some(Some(to_single(value))),
        ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}

/// The cells of a row, in the order of the quantities.
pub(crate) fn cells(values: &Values) -> impl Iterator<Item = Value> + '_ {
    Quantity::ALL.into_iter().map(|quantity| cell(values.get(quantity)))
}

/// The values of a row, or `None` when one of them cannot be: what is journalled was believed, so a value that its
/// quantity never has comes from elsewhere.
pub(crate) fn values(cells: impl Iterator<Item = Option<Option<f32>>>) -> Option<Values> {
    let mut values = Values::NONE;
    for (quantity, cell) in Quantity::ALL.into_iter().zip(cells) {
        if let Some(value) = cell? {
            if !quantity.is_plausible(value) {
                return None;
            }
            values.set(quantity, value);
        }
    }
    Some(values)
}

fn from_hundredths(hundredths: i64) -> f32 {
    // Rounding to f64 first changes nothing: it has more than twice the digits of f32.
    to_single(hundredths as f64 / 100.0)
}

/// The number that has the same shortest decimal digits, so that a table shows 0.713 and not 0.7129999995231628.
fn decimal(value: f32) -> f64 {
    match value.to_string().parse::<f64>() {
        Ok(decimal) if to_single(decimal).to_bits() == value.to_bits() => decimal,
        _ => f64::from(value),
    }
}

/// The leads as a BLOB, or `None` when a lead has no or more than 255 hours, or a temperature does not fit.
pub(crate) fn encode_leads(leads: &[LeadForecast]) -> Option<Vec<u8>> {
    let is_hourly = !leads.is_empty() && leads.iter().map(|lead| lead.lead_h).eq((1..).take(leads.len()));
    let mut blob = Vec::with_capacity(leads.len() * LEAD_BYTES);
    if is_hourly {
        blob.push(HOURLY);
    }
    for lead in leads {
        let lead_h = u8::try_from(lead.lead_h).ok().filter(|&lead_h| lead_h != HOURLY)?;
        if !is_hourly {
            blob.push(lead_h);
        }
        let (low, high) = match lead.interval_c {
            Some((low, high)) => (to_centidegrees(low)?, to_centidegrees(high)?),
            None => (ABSENT, ABSENT),
        };
        for number in [to_centidegrees(lead.temperature_c)?, low, high] {
            blob.extend_from_slice(&number.to_be_bytes());
        }
    }
    Some(blob)
}

/// The leads of a BLOB, or `None` when it cannot be one: an odd length, leads that do not rise, no temperature, half an
/// interval, or hours beyond the end of time.
pub(crate) fn decode_leads(blob: &[u8], origin: Timestamp) -> Option<Vec<LeadForecast>> {
    if let Some((&HOURLY, rest)) = blob.split_first() {
        let (rows, []) = rest.as_chunks::<HOURLY_LEAD_BYTES>() else { return None };
        let is_known = (1..MAX_LEADS).contains(&rows.len());
        return is_known
            .then(|| (1..).zip(rows).map(|(lead_h, row)| decode_lead(lead_h, row, origin)).collect())?;
    }
    let (rows, []) = blob.as_chunks::<LEAD_BYTES>() else { return None };
    let leads = rows.iter().map(|row| {
        let (&lead_h, row) = row.split_first()?;
        decode_lead(u32::from(lead_h), row.first_chunk()?, origin)
    });
    rising(leads.collect::<Option<_>>()?)
}

fn decode_lead(
    lead_h: u32,
    &[t0, t1, l0, l1, h0, h1]: &[u8; HOURLY_LEAD_BYTES],
    origin: Timestamp,
) -> Option<LeadForecast> {
    let temperature = |bytes| match i16::from_be_bytes(bytes) {
        ABSENT => None,
        hundredths => Some(from_hundredths(i64::from(hundredths))),
    };
    let interval_c = match (temperature([l0, l1]), temperature([h0, h1])) {
        (Some(low), Some(high)) => Some((low, high)),
        (None, None) => None,
        _ => return None,
    };
    lead(lead_h, temperature([t0, t1])?, interval_c, origin)
}

/// One lead, or `None` when its hour lies beyond the end of time.
pub(crate) fn lead(
    lead_h: u32,
    temperature_c: f32,
    interval_c: Option<(f32, f32)>,
    origin: Timestamp,
) -> Option<LeadForecast> {
    let valid_at = origin.checked_add(SignedDuration::from_hours(i64::from(lead_h))).ok()?;
    Some(LeadForecast { lead_h, valid_at, temperature_c, interval_c, quantiles_c: None })
}

/// The leads, if they rise.
pub(crate) fn rising(leads: Vec<LeadForecast>) -> Option<Vec<LeadForecast>> {
    leads.is_sorted_by(|one, next| one.lead_h < next.lead_h).then_some(leads)
}

/// The most bytes of extremes.
pub(crate) const MAX_DAY_AHEAD_BYTES: usize = 13 + 4 * 16;

/// The extremes as a BLOB, or `None` when a temperature does not fit: the hours as one byte; median, lower and upper end of
/// the lowest temperature, then of the highest; then threshold and probability in thousandths for each threshold. Every
/// number has two bytes, big endian.
pub(crate) fn encode_day_ahead(day_ahead: &DayAhead) -> Option<Vec<u8>> {
    let mut blob = vec![u8::try_from(day_ahead.hours).ok()?];
    for Extreme { temperature_c, interval_c: (low_c, high_c), .. } in [day_ahead.lowest, day_ahead.highest] {
        for temperature_c in [temperature_c, low_c, high_c] {
            blob.extend_from_slice(&to_centidegrees(temperature_c)?.to_be_bytes());
        }
    }
    for below in &day_ahead.below {
        blob.extend_from_slice(&to_centidegrees(below.threshold_c)?.to_be_bytes());
        blob.extend_from_slice(&to_thousandths(below.probability).to_be_bytes());
    }
    (blob.len() <= MAX_DAY_AHEAD_BYTES).then_some(blob)
}

/// The extremes of a BLOB, or `None` when it cannot be one.
pub(crate) fn decode_day_ahead(blob: &[u8]) -> Option<DayAhead> {
    let (&hours, rest) = blob.split_first()?;
    let (numbers, []) = rest.as_chunks::<2>() else { return None };
    let degrees = |bytes: [u8; 2]| from_hundredths(i64::from(i16::from_be_bytes(bytes)));
    let extreme = |own: &[[u8; 2]]| Extreme {
        temperature_c: degrees(own[0]),
        interval_c: (degrees(own[1]), degrees(own[2])),
        quantiles_c: None,
    };
    let (extremes, thresholds) = numbers.split_at_checked(6)?;
    let (pairs, []) = thresholds.as_chunks::<2>() else { return None };
    let below = pairs.iter().map(|&[threshold, probability]| {
        let thousandths = u16::from_be_bytes(probability);
        let probability = from_thousandths(thousandths);
        (thousandths <= 1000).then(|| Below { threshold_c: degrees(threshold), probability })
    });
    Some(DayAhead {
        hours: u32::from(hours),
        lowest: extreme(&extremes[..3]),
        highest: extreme(&extremes[3..]),
        below: below.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_value_comes_back_bit_for_bit(bits: u32, hundredths in -40_000_i32..120_000) {
            for value in [f32::from_bits(bits), hundredths as f32 / 100.0, (hundredths as f64 / 100.0) as f32] {
                if value.is_nan() {
                    continue;
                }
                let cell = cell(Some(value));
                let back = from_cell(ValueRef::from(&cell)).unwrap().unwrap();
                prop_assert_eq!(back.to_bits(), value.to_bits(), "{} as {:?}", value, cell);
            }
        }
    }

    #[test]
    fn what_a_sensor_of_two_decimals_shows_is_a_short_integer_and_any_other_the_digits_it_has() {
        assert_eq!(cell(Some(996.52)), Value::Integer(99_652));
        assert_eq!(cell(Some(0.71)), Value::Integer(71));
        assert_eq!(cell(Some(15.555_556)), Value::Real(15.555_556));
        assert_eq!(cell(None), Value::Null);
    }

    #[test]
    fn leads_of_every_hour_are_a_byte_shorter_each_and_come_back_beside_those_with_their_hours() {
        let origin = Timestamp::UNIX_EPOCH;
        let made = |hours: &[u32]| -> Vec<LeadForecast> {
            let interval =
                |lead_h: u32| (!lead_h.is_multiple_of(3)).then_some((-f64::from(lead_h) as f32 / 10.0, 7.25));
            hours.iter().map(|&lead_h| lead(lead_h, 0.5, interval(lead_h), origin).unwrap()).collect()
        };
        let every: Vec<u32> = (1..=24).collect();
        let others = [vec![], vec![2, 3], vec![1, 3], vec![24], (1..=255).collect(), every.clone()];
        for hours in others {
            let leads = made(&hours);
            assert_eq!(
                decode_leads(&encode_leads(&leads).unwrap(), origin).as_ref(),
                Some(&leads),
                "{hours:?}"
            );
        }
        assert_eq!(encode_leads(&made(&every)).unwrap().len(), 1 + 6 * 24);
        assert_eq!(encode_leads(&made(&every[1..])).unwrap().len(), 7 * 23);
        // As an earlier version wrote them: 168 bytes are 24 leads with their hours, not 28 without.
        let earlier: Vec<u8> = every.iter().flat_map(|&lead_h| [lead_h as u8, 0, 50, 0, 40, 0, 60]).collect();
        let decoded = decode_leads(&earlier, origin).unwrap();
        assert_eq!(decoded.iter().map(|lead| lead.lead_h).collect::<Vec<_>>(), every);
        assert_eq!(decoded[23], lead(24, 0.5, Some((0.4, 0.6)), origin).unwrap());
    }

    #[test]
    fn temperatures_that_do_not_fit_are_refused_and_blobs_that_cannot_be_are_not_read() {
        let origin = Timestamp::UNIX_EPOCH;
        let one = |lead_h, temperature_c, interval_c| {
            encode_leads(&[LeadForecast {
                lead_h,
                valid_at: origin,
                temperature_c,
                interval_c,
                quantiles_c: None,
            }])
        };
        assert_eq!(one(1, 1.5, None), Some(vec![0, 0, 150, 0x80, 0, 0x80, 0]));
        assert_eq!(one(24, -0.01, Some((-1.0, 1.0))), Some(vec![24, 0xff, 0xff, 0xff, 0x9c, 0, 100]));
        for (lead_h, temperature_c) in
            [(0, 1.0), (256, 1.0), (1, 327.68), (1, -327.68), (1, f32::NAN), (1, f32::INFINITY)]
        {
            assert_eq!(one(lead_h, temperature_c, None), None, "{lead_h} h, {temperature_c} °C");
        }
        assert!(decode_leads(&[1, 0, 150, 0x80, 0, 0x80, 0], origin).is_some());
        for (blob, why) in [
            (&[1, 0, 150, 0x80, 0, 0x80][..], "a byte is missing"),
            (&[1, 0x80, 0, 0x80, 0, 0x80, 0], "no temperature"),
            (&[1, 0, 150, 0, 0, 0x80, 0], "half an interval"),
            (&[2, 0, 1, 0, 1, 0, 1, 2, 0, 1, 0, 1, 0, 1], "a lead twice"),
            (&[0], "no lead"),
            (&[0, 0, 1, 0, 1, 0], "a byte of the first is missing"),
            (&[0, 0x80, 0, 0x80, 0, 0x80, 0], "no temperature at the first hour"),
        ] {
            assert_eq!(decode_leads(blob, origin), None, "{why}");
        }
        assert_eq!(decode_leads(&[255, 0, 1, 0, 1, 0, 1], Timestamp::MAX), None, "beyond the end of time");
    }
}
