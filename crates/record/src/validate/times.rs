//! Whether the times are those that the daily wave of temperature follows.

use forecastd_core::Quantity;

use super::{Evidence, Suspicion};

/// When the daily wave of temperature has its maximum, in hours of mean solar time: the earliest and the latest of 1,137
/// stations, with 20 minutes of margin.
const EARLIEST_H: f64 = 12.7;
const LATEST_H: f64 = 16.4;
/// The median of them.
const USUAL_H: f64 = 14.7;
/// Fewer days, or a weaker wave in °C, say nothing.
const DAYS: usize = 30;
const AMPLITUDE_C: f64 = 1.2;

pub(super) fn validate(record: &Evidence<'_>) -> Option<Suspicion> {
    let (peak, amplitude) = daily_wave(record)?;
    if amplitude < AMPLITUDE_C || (EARLIEST_H..=LATEST_H).contains(&peak) {
        return None;
    }
    let mut hours = (peak - USUAL_H).round();
    if hours > 12.0 {
        hours -= 24.0;
    }
    let direction = if hours < 0.0 { "early" } else { "late" };
    let message = format!(
        "the daily wave of temperature has its maximum at {peak:.1} h of solar time, where it is between {EARLIEST_H} and \
         {LATEST_H} h everywhere: the times are about {} hours too {direction}; is the zone another than the mapping says \
         (time_zone), or the longitude wrong?",
        hours.abs()
    );
    Some(Suspicion { about: "time", message })
}

/// The hour of solar time at which the first harmonic of the day has its maximum, and its amplitude, from days with readings
/// of most hours, each less its mean.
fn daily_wave(record: &Evidence<'_>) -> Option<(f64, f64)> {
    let site = record.site?;
    let shift_s = site.longitude_deg / 360.0 * 86_400.0;
    let mut day = Day::default();
    let (mut cosine, mut sine, mut count, mut days) = (0.0, 0.0, 0_u64, 0_usize);
    let mut close = |day: &Day| {
        if day.hours.count_ones() < 22 {
            return;
        }
        let mean = day.values.iter().map(|(_, value)| value).sum::<f64>() / day.values.len() as f64;
        for (phase, value) in &day.values {
            let angle = std::f64::consts::TAU * phase;
            cosine += (value - mean) * angle.cos();
            sine += (value - mean) * angle.sin();
        }
        count += day.values.len() as u64;
        days += 1;
    };
    let is_plausible = |value: &f32| Quantity::AirTemperature.is_plausible(*value);
    for (time, values) in record.readings {
        let Some(value) = values.get(Quantity::AirTemperature).filter(is_plausible) else { continue };
        let number = ((time.as_second() as f64 + shift_s) / 86_400.0).floor() as i64;
        if number != day.number {
            close(&day);
            day = Day { number, ..Day::default() };
        }
        let phase = site.day_phase(*time);
        // Rounded, as an hour is no exact fraction of a day.
        day.hours |= 1 << ((phase * 1440.0).round() as u32 / 60 % 24);
        day.values.push((phase, f64::from(value)));
    }
    close(&day);
    if days < DAYS {
        return None;
    }
    let scale = 2.0 / count as f64;
    let peak = sine.atan2(cosine) / std::f64::consts::TAU * 24.0;
    Some((peak.rem_euclid(24.0), scale * cosine.hypot(sine)))
}

#[derive(Default)]
struct Day {
    number: i64,
    /// A bit for each hour that has a reading.
    hours: u32,
    values: Vec<(f64, f64)>,
}
