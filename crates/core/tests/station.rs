//! The station as a whole, without I/O: warm-up, forecasts, holes, disorder, verification, restart.

use forecastd_core::StationName;
use forecastd_core::{Forecast, Source};
use forecastd_core::{History, Inserted};
use forecastd_core::{Next, Readiness, Rejected, Station};
use forecastd_core::{Quantity, Values};
use forecastd_testkit::artefact;
use jiff::{SignedDuration, Timestamp};

const SAMPLES: usize = 4;
const HOUR: i64 = 3600;
/// 2020-01-01T00:00:00Z.
const START: i64 = 1_577_836_800;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn weather(temperature_c: f32) -> Values {
    let mut values = Values::NONE;
    values.set(Quantity::AirTemperature, temperature_c);
    values.set(Quantity::AirPressure, 1000.0 + temperature_c);
    values
}

fn station(change_c: f32) -> Station {
    let name = StationName::new("roof").unwrap();
    let model = artefact::trend(SAMPLES, change_c).description();
    Station::new(name, std::sync::Arc::new(model), SignedDuration::from_hours(1))
}

/// What the network of [`artefact::trend`] answers.
fn answer(change_c: f32) -> Vec<f32> {
    (1..=24).map(|lead| change_c * lead as f32).collect()
}

/// Observes a reading that arrives when it is measured, answers for the network, and gives the forecast.
fn observe(station: &mut Station, second: i64, temperature_c: f32, change_c: f32) -> Option<Forecast> {
    let observed = station.observe(at(second), weather(temperature_c), at(second)).unwrap();
    match observed.next {
        Next::Infer(issue, _) => Some(station.complete(&issue, &answer(change_c)).forecast),
        Next::Baseline(forecast) => Some(forecast),
        Next::Nothing => None,
    }
}

/// A temperature that changes with every reading and stays plausible.
fn temperature(second: i64) -> f32 {
    10.0 + 5.0 * (second as f32 / 86_400.0 * std::f32::consts::TAU).sin()
}

#[test]
fn persistence_is_forecast_until_the_window_is_complete_and_says_how_much_is_missing() {
    let mut station = station(0.5);
    assert_eq!(station.readiness(), Readiness::Silent);
    let forecast = observe(&mut station, 0, 7.0, 0.5).unwrap();
    assert_eq!(forecast.source, Source::Persistence);
    assert!(forecast.leads.iter().all(|lead| lead.temperature_c == 7.0));
    let Readiness::WarmingUp(missing) = station.readiness() else { panic!("one reading is no window") };
    assert_eq!(missing.remaining, SignedDuration::from_hours(3));
    for second in (600..3 * HOUR).step_by(600) {
        let forecast = observe(&mut station, second, temperature(second), 0.5).unwrap();
        assert_eq!(forecast.source, Source::Persistence);
    }
    let forecast = observe(&mut station, 3 * HOUR, 8.0, 0.5).unwrap();
    assert_eq!(station.readiness(), Readiness::Ready);
    assert_eq!(forecast.source, Source::Model);
    assert_eq!(forecast.issued_at, at(3 * HOUR));
    let lead = forecast.at(24).unwrap();
    assert_eq!(lead.valid_at, at(27 * HOUR));
    assert_eq!(lead.temperature_c, 8.0 + 24.0 * 0.5);
}

#[test]
fn forecasts_are_scored_when_their_hour_has_come_and_each_once() {
    // Temperature rises by 0.1 °C an hour; the model says 0.3 °C an hour: errors are 0.2 and 0.1 °C per hour of
    // lead for model and persistence, and 2.4 °C for yesterday.
    let (rise, says) = (0.1_f32, 0.3_f32);
    let mut station = station(says);
    let hours = 60;
    for second in (0..=hours * HOUR).step_by(600) {
        observe(&mut station, second, rise * second as f32 / HOUR as f32, says);
    }
    let totals = station.verification().totals();
    for lead_h in [1_u32, 6, 24] {
        let lead = totals.lead(lead_h);
        // Forecasts from hour 3 on, every ten minutes, whose hour was closed by a later reading.
        assert_eq!(lead.count, (6 * (hours - 3 - i64::from(lead_h))) as u64, "lead {lead_h}");
        let expected = f64::from(lead_h) * 0.2;
        assert!((lead.mae().unwrap() - expected).abs() < 1e-4, "lead {lead_h}: {:?}", lead.mae());
        assert!((lead.persistence_mae().unwrap() - expected / 2.0).abs() < 1e-4);
        assert!((lead.yesterday_mae().unwrap() - 2.4).abs() < 1e-4);
        assert!((lead.skill().unwrap() + 1.0).abs() < 1e-3);
    }
}

#[test]
fn a_forecast_that_comes_after_its_hour_is_still_scored() {
    let mut station = station(0.0);
    let mut waiting = Vec::new();
    for second in (0..=10 * HOUR).step_by(600) {
        let observed = station.observe(at(second), weather(temperature(second)), at(second)).unwrap();
        if let Next::Infer(issue, _) = observed.next {
            waiting.push(issue);
        }
    }
    assert_eq!(station.verification().totals().lead(1).count, 0);
    let scored: usize = waiting.iter().map(|issue| station.complete(issue, &answer(0.0)).scores.len()).sum();
    // Leads of 1 to 6 hours from every ten minutes between hour 3 and hour 10, closed ones only.
    let expected: i64 = (1..=6).map(|lead| 6 * (7 - lead)).sum();
    assert_eq!(scored as i64, expected);
}

#[test]
fn a_repeated_reading_changes_nothing_and_a_late_one_makes_no_forecast() {
    let mut station = station(0.0);
    for second in (0..=5 * HOUR).step_by(600).filter(|&second| second != 4 * HOUR) {
        observe(&mut station, second, temperature(second), 0.0);
    }
    let again = station.observe(at(5 * HOUR), weather(temperature(5 * HOUR)), at(5 * HOUR)).unwrap();
    assert!(matches!(again.inserted, Inserted::Unchanged(_)));
    assert_eq!(again.next, Next::Nothing);
    let late = station.observe(at(4 * HOUR), weather(3.0), at(5 * HOUR)).unwrap();
    assert!(matches!(late.inserted, Inserted::Late(_)));
    assert_eq!(late.next, Next::Nothing);
    // The hour that came late scores the forecasts that spoke of it.
    assert_eq!(late.scores.len(), 1);
    assert_eq!(late.scores[0].observed_c, 3.0);
}

#[test]
fn readings_from_the_far_past_and_the_future_are_refused_and_change_nothing() {
    let mut station = station(0.0);
    for second in (0..=5 * HOUR).step_by(600) {
        observe(&mut station, second, temperature(second), 0.0);
    }
    let now = at(5 * HOUR);
    let epoch = Timestamp::from_second(30).unwrap();
    assert_eq!(station.observe(epoch, weather(1.0), now), Err(Rejected::FarPast(epoch)));
    let old = station.observe(at(-90 * 24 * HOUR), weather(1.0), now).unwrap_err();
    assert_eq!(old.reason(), "too_old");
    let ahead = station.observe(at(7 * HOUR), weather(1.0), now).unwrap_err();
    assert_eq!(ahead.reason(), "in_future");
    assert!(ahead.to_string().ends_with("120 min ahead of the clock") || ahead.to_string().contains("2 h"));
    let mut sentinels = Values::NONE;
    sentinels.set(Quantity::AirTemperature, -9999.0);
    let sentinel = station.observe(at(5 * HOUR + 600), sentinels, at(5 * HOUR + 600)).unwrap_err();
    assert_eq!(sentinel.reason(), "implausible");
    assert_eq!(station.readiness(), Readiness::Ready);
    assert_eq!(observe(&mut station, 5 * HOUR + 600, 9.0, 0.0).unwrap().source, Source::Model);
}

#[test]
fn a_hole_of_an_hour_is_filled_and_one_of_a_day_or_a_month_warms_up_again() {
    for (hole_h, ready) in [(1, true), (3, true), (4, false), (24, false), (30 * 24, false)] {
        let mut station = station(0.0);
        for second in (0..=5 * HOUR).step_by(600) {
            observe(&mut station, second, temperature(second), 0.0);
        }
        let back = (5 + hole_h) * HOUR;
        let forecast = observe(&mut station, back, temperature(back), 0.0).unwrap();
        let expected = if ready { Source::Model } else { Source::Persistence };
        assert_eq!(forecast.source, expected, "hole of {hole_h} h");
        for second in (back + 600..=back + 3 * HOUR).step_by(600) {
            observe(&mut station, second, temperature(second), 0.0);
        }
        assert_eq!(station.readiness(), Readiness::Ready, "three hours after a hole of {hole_h} h");
    }
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut uninterrupted = station(0.0);
    let mut before = station(0.0);
    let mut journal = Vec::new();
    let mut forecasts = Vec::new();
    let restart = 30 * HOUR;
    for second in (0..=restart).step_by(600) {
        observe(&mut uninterrupted, second, temperature(second), 0.0);
        let forecast = observe(&mut before, second, temperature(second), 0.0);
        journal.push((at(second), weather(temperature(second))));
        forecasts.extend(forecast);
    }
    let mut after = station(0.0);
    for (time, values) in journal {
        after.restore_reading(time, values);
    }
    for forecast in &forecasts {
        after.restore_forecast(forecast);
    }
    after.restored();
    assert_eq!(after.readiness(), Readiness::Ready);
    let scored_before = uninterrupted.verification().totals().lead(24).count;
    for second in (restart + 600..=restart + 40 * HOUR).step_by(600) {
        let expected = observe(&mut uninterrupted, second, temperature(second), 0.0);
        assert_eq!(observe(&mut after, second, temperature(second), 0.0), expected);
    }
    let uninterrupted_count = uninterrupted.verification().totals().lead(24).count;
    assert_eq!(after.verification().totals().lead(24).count, uninterrupted_count - scored_before);
}

/// The trainer cuts windows from a history of a whole record, the daemon from a ring buffer: the windows are the
/// same to the last bit, through holes, disorder and sentinels.
#[test]
fn the_station_s_windows_are_those_of_the_whole_record_bit_for_bit() {
    let artefact = artefact::trend(SAMPLES, 0.0);
    let spec = &artefact.manifest.window;
    let mut station = station(0.0);
    let mut record = History::new(spec.grid(), &spec.quantities(), 40_000);
    let mut compared = 0;
    for step in 0..3000_i64 {
        let second = step * 600;
        // Holes of one to five hours, now and then.
        if step % 211 < step % 31 {
            continue;
        }
        let measured = weather(temperature(second) + (step % 7) as f32 / 10.0);
        record.insert(at(second), &measured);
        let observed = station.observe(at(second), measured, at(second)).unwrap();
        let end = spec.grid().slot(at(second));
        let mut window = vec![0.0; spec.len()];
        let whole = spec.fill(&record, end, &mut window);
        artefact.manifest.normalisation.apply(&mut window);
        match observed.next {
            Next::Infer(_, live) => {
                assert_eq!(whole, Ok(()));
                let bits = |window: &[f32]| window.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&live), bits(&window), "step {step}");
                compared += 1;
            }
            Next::Baseline(_) => assert!(whole.is_err(), "step {step}"),
            Next::Nothing => panic!("every reading has a temperature"),
        }
    }
    assert!(compared > 1000, "{compared} windows compared");
}
