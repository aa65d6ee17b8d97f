//! Stations whose forecasts are what experts say together.

use forecastd_core::{Event, Forecast, Publication, Settings, Source, Standing};

use crate::world::{HOUR, Message, SAMPLES, World, at, model, name, settings, temperature, weather};

fn world() -> World {
    World::with(Settings { experts: true, ..settings() }, model(SAMPLES))
}

fn issued(world: &World) -> Vec<Forecast> {
    let forecasts = world.events.iter().filter_map(|event| match event {
        Event::ForecastIssued { forecast, .. } => Some((**forecast).clone()),
        _ => None,
    });
    forecasts.collect()
}

/// Mean absolute error of the forecasts for a lead that were issued in the second half of so many days, and what
/// persistence has.
fn errors(experts: bool, days: i64, lead_h: u32) -> (f32, f32) {
    let mut world = World::with(Settings { experts, ..settings() }, model(SAMPLES));
    for second in (0..days * 24 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    let late = issued(&world).into_iter().filter(|forecast| forecast.origin > at(days * 12 * HOUR));
    let errors = late.filter_map(|forecast| {
        let lead = *forecast.at(lead_h)?;
        let observed_c = temperature(lead.valid_at.duration_since(at(0)).as_secs());
        Some(((lead.temperature_c - observed_c).abs(), (forecast.temperature_c - observed_c).abs()))
    });
    let errors: Vec<(f32, f32)> = errors.collect();
    let mean = |pick: fn(&(f32, f32)) -> f32| errors.iter().map(pick).sum::<f32>() / errors.len() as f32;
    (mean(|(own, _)| *own), mean(|(_, persistence)| *persistence))
}

#[test]
fn the_first_reading_makes_a_forecast_with_an_interval_and_the_model_joins_when_it_can() {
    let mut world = world();
    world.reading("roof", 0, 7.0);
    let forecast = issued(&world).pop().unwrap();
    assert_eq!((forecast.source, forecast.model.as_str()), (Source::Reference, "reference"));
    for lead in &forecast.leads {
        let (low_c, high_c) = lead.interval_c.unwrap();
        assert!(lead.temperature_c == 7.0 && low_c < 6.5 && high_c > 7.5, "{lead:?}");
    }
    for second in (600..=3 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    let forecast = issued(&world).pop().unwrap();
    assert_eq!((forecast.source, forecast.model.as_str()), (Source::Model, "test@0"));
    assert_eq!(forecast.leads.len(), 4);
}

/// The temperature repeats every day, and the model knows nothing of it.
#[test]
fn a_model_that_is_of_no_use_is_left_for_the_reference_experts() {
    let (model_alone, persistence) = errors(false, 20, 6);
    let (with_experts, _) = errors(true, 20, 6);
    assert!(model_alone > 2.0 && persistence > 2.0, "{model_alone}, {persistence}");
    assert!(with_experts < 0.3, "{with_experts}");
}

#[test]
fn an_answer_that_is_no_temperature_leaves_the_reference_experts() {
    let mut world = world();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.pass(600);
    world.broker.push_back(Message { station: name("roof"), time: at(5 * HOUR + 600), values: weather(8.0) });
    while world.deliver() {}
    let window = world.windows.pop_front().unwrap();
    world.answer_with(window, Ok(vec![f32::NAN; 12]));
    let forecast = issued(&world).pop().unwrap();
    assert_eq!((forecast.origin, forecast.source), (at(5 * HOUR + 600), Source::Reference));
    assert!(forecast.leads.iter().all(|lead| lead.temperature_c.is_finite() && lead.interval_c.is_some()));
}

#[test]
fn experts_are_written_once_an_hour_whatever_the_cadence() {
    for step_s in [600, 900, 3600] {
        let mut world = world();
        let hours = 30;
        for second in (0..hours * HOUR).step_by(step_s) {
            world.reading("roof", second, temperature(second));
        }
        assert_eq!(world.journal.forecasts.len(), hours as usize * 3600 / step_s);
        assert_eq!(world.journal.experts_written, hours as usize, "every {step_s} s");
    }
}

#[test]
fn a_burst_forecasts_what_a_slow_feed_forecasts() {
    assert_a_burst_is_a_slow_feed(model(SAMPLES));
}

#[test]
fn a_burst_forecasts_what_a_slow_feed_forecasts_however_short_the_leads() {
    let mut short = (*model(SAMPLES)).clone();
    short.manifest.lead_h = vec![1, 2, 3, 4];
    short.manifest.validate().unwrap();
    assert_a_burst_is_a_slow_feed(std::sync::Arc::new(short));
}

fn assert_a_burst_is_a_slow_feed(model: std::sync::Arc<forecastd_core::Model>) {
    let forecasts = |is_burst: bool| {
        let mut world = World::with(Settings { experts: true, ..settings() }, std::sync::Arc::clone(&model));
        world.now.wall = at(400 * 24 * HOUR);
        for second in (0..150 * HOUR).step_by(1200).filter(|second| !(40 * HOUR..48 * HOUR).contains(second))
        {
            // Without pressure there is no window for a while, while forecasts are in flight.
            let mut values = weather(temperature(second) + (second as f32 / 5e4).sin());
            if (70 * HOUR..75 * HOUR).contains(&second) {
                values.remove(forecastd_core::Quantity::AirPressure);
            }
            world.broker.push_back(Message { station: name("roof"), time: at(second), values });
            if !is_burst {
                world.settle_all();
            }
        }
        while world.deliver() {}
        world.settle_all();
        (world.journal.forecasts.clone(), world.journal.experts.clone())
    };
    let slow = forecasts(false);
    assert!(
        slow.0
            .values()
            .any(|forecast| forecast.source == Source::Reference && forecast.origin > at(70 * HOUR))
    );
    assert_eq!(slow, forecasts(true));
}

#[test]
fn the_verification_of_a_station_says_how_its_experts_stand() {
    let mut world = world();
    for second in (0..60 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    let standings: Vec<Standing> = world
        .retained(|publication| match publication {
            Publication::Verification { experts, .. } => Some(experts.clone()),
            _ => None,
        })
        .unwrap();
    let names: Vec<&str> = standings.iter().map(|standing| standing.name.as_str()).collect();
    assert_eq!(names, ["mixture", "persistence", "test@0", "yesterday"]);
    for lead in 0..4 {
        let sum: f32 = standings.iter().map(|standing| standing.leads[lead].weight).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert!(standings.iter().all(|standing| standing.leads[lead].mae_c.is_some()));
    }
}

#[test]
fn experts_that_cannot_be_read_begin_anew_and_the_station_goes_on() {
    let mut world = world();
    for second in (0..30 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    world.flush_all();
    world.journal.experts.insert(name("roof"), vec![1, 2, 3]);
    world.kill();
    world.subscribe();
    world.reading("roof", 30 * HOUR, temperature(30 * HOUR));
    let forecast = issued(&world).pop().unwrap();
    assert_eq!((forecast.origin, forecast.source), (at(30 * HOUR), Source::Model));
    assert!(world.journal.experts[&name("roof")].len() > 100);
}

#[test]
fn another_model_joins_the_experts_and_the_one_before_sleeps() {
    let mut world = world();
    for second in (0..40 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    let other = forecastd_core::Model { id: "test@1".into(), ..(*model(SAMPLES)).clone() };
    world.input(forecastd_core::Input::ModelsLoaded(std::sync::Arc::new(other).into()));
    for second in (40 * HOUR..80 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    let experts = world.retained(|publication| match publication {
        Publication::Verification { experts, .. } => Some(experts.clone()),
        _ => None,
    });
    let standings: Vec<(String, bool)> =
        experts.unwrap().into_iter().map(|standing| (standing.name, standing.is_asleep)).collect();
    let expected = [
        ("mixture", false),
        ("persistence", false),
        ("test@0", true),
        ("test@1", false),
        ("yesterday", false),
    ];
    assert_eq!(standings, expected.map(|(name, is_asleep)| (name.to_owned(), is_asleep)));
}

#[test]
fn experts_can_be_switched_off_and_on_again() {
    let mut world = world();
    for second in (0..30 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    let written = world.journal.experts.clone();
    for (experts, hour) in [(false, 30), (true, 31)] {
        world.flush_all();
        world.settings.experts = experts;
        world.kill();
        world.subscribe();
        world.reading("roof", hour * HOUR, temperature(hour * HOUR));
        assert_eq!(issued(&world).pop().unwrap().origin, at(hour * HOUR));
        assert_eq!(world.journal.experts == written, !experts, "hour {hour}");
    }
}

/// Experts are not asked what a clock that was ahead made of the future.
#[test]
fn what_was_said_of_a_future_that_was_none_is_forgotten() {
    let mut world = world();
    for second in (0..30 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    // The clock jumps ahead by ten days, and back.
    world.jump(240 * HOUR);
    for second in (270 * HOUR..280 * HOUR).step_by(1800) {
        world.reading("roof", second, 25.0 + temperature(second));
    }
    world.jump(-240 * HOUR);
    let written = world.journal.experts_written;
    for second in (40 * HOUR + 600..70 * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
    let forecast = issued(&world).pop().unwrap();
    assert!(forecast.origin > at(69 * HOUR) && forecast.origin < at(70 * HOUR));
    assert_eq!(world.journal.experts_written - written, 30, "every hour is said and learned from again");
}
