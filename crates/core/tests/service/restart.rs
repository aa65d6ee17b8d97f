//! Kills at any moment: nothing is lost, nothing is twice, and every number is the same bit for bit.

use std::collections::VecDeque;
use std::sync::Arc;

use forecastd_core::{Event, Feature, Input, Model, Publication, Quantity, Scores, Settings, Source, Values};
use proptest::prelude::*;

use crate::world::without_quantiles;
use crate::world::{
    Bits, HOUR, Journal, Message, SAMPLES, World, at, model, name, settings, specialist, temperature, weather,
};

fn only(quantity: Quantity, value: f32) -> Values {
    let mut values = Values::NONE;
    values.set(quantity, value);
    values
}

/// A feed of one or two stations: in order and late, repeated, in parts, in one slot, spikes, holes, missing quantities.
fn feed() -> impl Strategy<Value = Vec<Message>> {
    let step = (0_u8..20, 0_i64..600, 0_u8..12, any::<bool>());
    prop::collection::vec(step, 30..120).prop_map(|steps| {
        let mut second = 0;
        let mut messages: Vec<Message> = Vec::new();
        for (kind, offset, station, has_pressure) in steps {
            let station = name(if station < 10 { "roof" } else { "alp" });
            second += match kind {
                0 => 5 * 3600,
                1 => 40 * 3600,
                2..=4 => offset,
                10..=12 => 3600,
                _ => 600,
            };
            let time_s = if kind == 5 { second - 3 * 3600 - offset } else { second };
            let mut values = weather(temperature(time_s));
            match kind {
                6 => values.set(Quantity::AirTemperature, 55.0),
                7 => values.set(Quantity::AirTemperature, -9999.0),
                8 => {
                    values = Values::NONE;
                    values.set(Quantity::AirTemperature, 55.0);
                }
                _ if !has_pressure && kind % 3 == 0 => values.remove(Quantity::AirPressure),
                _ => {}
            }
            let message = Message { station, time: at(time_s), values };
            if kind == 9 {
                messages.push(message.clone());
            }
            match kind {
                // Corrected within the second, or brought in parts.
                13 => messages.extend([message.clone(), Message { values: weather(1.0), ..message }]),
                14 => {
                    messages.extend(message.values.iter().map(|(quantity, value)| Message {
                        values: only(quantity, value),
                        ..message.clone()
                    }))
                }
                _ => messages.push(message),
            }
        }
        messages
    })
}

fn world(experts: bool) -> World {
    let mut world = World::with(Settings { experts, ..settings() }, model(SAMPLES));
    // The clock of a replay: all of the feed is in the past.
    world.now.wall = at(400 * 24 * 3600);
    world
}

/// Feeds a world in three parts, the second with a specialist that looks further back than the main model, the last without
/// it again. In each part happens what `meanwhile` does, and then all that is left.
fn run(world: &mut World, feed: &[Message], mut meanwhile: impl FnMut(&mut World)) {
    let part = feed.len().div_ceil(3).max(1);
    for (part, messages) in feed.chunks(part).enumerate() {
        let specialists = (part == 1).then(|| specialist("own@1", SAMPLES + 3));
        world.load_specialists(specialists);
        world.settle_all();
        world.broker.extend(messages.iter().cloned());
        meanwhile(world);
        world.subscribe();
        world.settle_all();
    }
}

/// What happens next, besides kills.
fn step(world: &mut World, choice: u8) {
    match choice % 8 {
        _ if choice == 255 => world.disconnect(),
        _ if choice >= 252 => world.subscribe(),
        0..=3 => drop(world.deliver()),
        4 if choice & 8 == 0 => drop(world.answer()),
        4 => drop(world.answer_specialist()),
        5 if choice & 24 == 24 => drop(world.recall()),
        5 => drop(world.commit()),
        6 => drop(world.settle()),
        _ => world.flush(),
    }
}

/// The scores of all stations, as a restart finds them.
fn scores(world: &mut World) -> Scores {
    world.flush_all();
    world.kill();
    let scores = world.events.iter().rev().find_map(|event| match event {
        Event::ScoresRestored(scores) => Some(scores.clone()),
        _ => None,
    });
    scores.unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_with_kills_ends_like_the_quiet_run(
        feed in feed(),
        choices in prop::collection::vec(any::<u8>(), 0..2000),
        kill_every in 20_usize..400,
        experts in any::<bool>(),
    ) {
        let mut quiet = world(experts);
        run(&mut quiet, &feed, |_| {});

        let mut killed = world(experts);
        let (each, mut choices) = (choices.len() / 3, choices.into_iter().enumerate());
        run(&mut killed, &feed, |killed| {
            for (index, choice) in choices.by_ref().take(each) {
                step(killed, choice);
                if index % kill_every == kill_every - 1 {
                    killed.kill();
                    killed.subscribe();
                }
            }
        });

        prop_assert!(killed.unacknowledged.is_empty());
        prop_assert_eq!(&killed.journal.readings, &quiet.journal.readings);
        prop_assert_eq!(&killed.journal.forecasts, &quiet.journal.forecasts);
        prop_assert_eq!(&killed.journal.experts, &quiet.journal.experts);
        prop_assert_eq!(killed.journal.experts.is_empty(), !experts || quiet.journal.forecasts.is_empty());
        let (killed_scores, quiet_scores) = (scores(&mut killed), scores(&mut quiet));
        prop_assert_eq!(killed_scores.leads().count(), quiet_scores.leads().count());
        for (lead_h, quiet) in quiet_scores.leads() {
            let killed = killed_scores.lead(lead_h);
            // Each pair once; the sums are of the same numbers in another order.
            prop_assert_eq!(killed.lifetime.count(), quiet.lifetime.count(), "lead {}", lead_h);
            let differs = |left: Option<f64>, right: Option<f64>| {
                (left.unwrap_or(0.0) - right.unwrap_or(0.0)).abs() > 1e-9
            };
            prop_assert!(!differs(killed.lifetime.mae(), quiet.lifetime.mae()));
            prop_assert!(!differs(killed.lifetime.yesterday_mae(), quiet.lifetime.yesterday_mae()));
            prop_assert!(!differs(killed.lifetime.coverage(), quiet.lifetime.coverage()));
            prop_assert!(!differs(killed.rolling.mae(), quiet.rolling.mae()));
        }
        let published = killed.published_forecasts();
        for forecast in quiet.published_forecasts() {
            // A forecast of a slot that was refreshed before it was delivered may have been replaced.
            let is_final = quiet.journal.forecasts.values().any(|kept| *kept == forecast);
            prop_assert!(!is_final || published.contains(&forecast), "never published: {forecast:?}");
        }
    }

    #[test]
    fn what_the_journal_holds_makes_the_same_station_again(
        feed in feed(),
        cut in 1_usize..60,
        experts in any::<bool>(),
    ) {
        let mut world = world(experts);
        world.load_specialists([specialist("own@1", SAMPLES + 3)]);
        world.broker = VecDeque::from(feed);
        for _ in 0..cut {
            world.deliver();
            world.answer();
        }
        world.settle_all();
        world.flush_all();
        let before = world.journal.clone();
        world.kill();
        world.subscribe();
        let is_forecast = |publication: &Publication| matches!(publication, Publication::Forecast { .. });
        prop_assert!(!world.outbox.iter().any(is_forecast), "all had been delivered");
        world.settle_all();
        world.flush_all();
        prop_assert_eq!(&world.journal.states, &before.states);
        prop_assert_eq!(&world.journal.experts, &before.experts);
        prop_assert_eq!(&world.journal.readings, &before.readings);
        prop_assert_eq!(&world.journal.forecasts, &before.forecasts);
    }
}

/// Readings of one station until it is ready, every ten minutes for five hours.
fn ready_world() -> World {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world
}

#[test]
fn what_screening_remembers_of_a_quantity_that_no_model_looks_at_survives_a_kill() {
    let dropped = [false, true].map(|is_killed| {
        let mut world = ready_world();
        world.send("roof", at(5 * HOUR), only(Quantity::DewPointTemperature, -30.0));
        if is_killed {
            world.kill();
            world.subscribe();
        }
        // 40 °C more within ten minutes.
        world.pass(600);
        world.send("roof", at(5 * HOUR + 600), only(Quantity::DewPointTemperature, 10.0));
        let dropped = world
            .events
            .iter()
            .filter(|event| matches!(event, Event::ReadingRefused { reason: "implausible", .. }));
        dropped.count()
    });
    assert_eq!(dropped, [1, 1]);
}

#[test]
fn a_forecast_that_stands_in_for_one_that_was_owed_is_the_newest_and_is_published_until_it_is_delivered() {
    let mut world = ready_world();
    // One more that is not delivered, and one that is owed.
    for second in [5 * HOUR + 600, 5 * HOUR + 1200] {
        world.pass(600);
        let values = weather(temperature(second));
        world.broker.push_back(Message { station: name("roof"), time: at(second), values });
        world.deliver();
        if second == 5 * HOUR + 600 {
            world.answer();
        }
    }
    world.flush();
    while world.commit() {}
    // The model of now looks further back than the journal reaches.
    world.models = model(24).into();
    world.kill();
    world.subscribe();
    let newest = world.service.view(world.now, &name("roof")).and_then(|view| view.forecast).unwrap();
    assert_eq!((newest.source, newest.origin), (Source::Persistence, at(5 * HOUR + 1200)));
    let waits = |world: &World| {
        let waits = world.outbox.iter().filter_map(|publication| match publication {
            Publication::Forecast { forecast, .. } => Some(forecast.origin),
            _ => None,
        });
        waits.collect::<Vec<_>>()
    };
    assert_eq!(waits(&world), [at(5 * HOUR + 600), at(5 * HOUR + 1200)]);
    // The first of the two reaches the broker.
    while waits(&world).len() > 1 {
        world.settle();
    }
    world.flush_all();
    world.kill();
    world.subscribe();
    assert_eq!(waits(&world), [at(5 * HOUR + 1200)]);
}

/// [`model`] with the dew point in place of the pressure.
fn model_of_dew_point() -> Arc<Model> {
    let mut model = (*model(SAMPLES)).clone();
    model.manifest.window.features[1] = Feature::Quantity(Quantity::DewPointTemperature);
    model.manifest.validate().unwrap();
    Arc::new(model)
}

/// What is measured at a time, in whole or in parts, corrected or not.
fn in_readings(way: &str, second: i64) -> Vec<Values> {
    let parts = [(Quantity::AirTemperature, temperature(second)), (Quantity::RelativeHumidity, 60.0)];
    let part = |index: usize| only(parts[index].0, parts[index].1);
    let mut whole = part(0);
    whole.set(parts[1].0, parts[1].1);
    match way {
        "whole" => vec![whole],
        "parts" => vec![part(0), part(1)],
        "parts, the other way round" => vec![part(1), part(0)],
        _ => vec![only(Quantity::AirTemperature, 1.0), whole],
    }
}

#[test]
fn what_is_measured_in_one_second_is_one_reading_in_memory_as_in_the_journal() {
    let run = |way: &str, is_killed: bool| {
        let mut world = World::with(settings(), model_of_dew_point());
        for second in (0..=6 * HOUR).step_by(600) {
            world.pass(600);
            for values in in_readings(way, second) {
                world.send("roof", at(second), values);
            }
            if is_killed && second == 5 * HOUR {
                world.kill();
                world.subscribe();
            }
        }
        (
            world.service.sample_windows(&model_of_dew_point(), 1),
            world.journal.readings,
            world.journal.forecasts,
        )
    };
    let (window, readings, forecasts) = run("whole", false);
    assert_eq!(window.len(), 2 * SAMPLES);
    assert_eq!(forecasts[&(name("roof"), at(6 * HOUR))].source, Source::Model);
    for way in ["whole", "parts", "parts, the other way round", "corrected"] {
        for is_killed in [false, true] {
            let other = run(way, is_killed);
            assert_eq!(other.0, window, "{way}, killed: {is_killed}");
            assert!(other.1 == readings && other.2 == forecasts, "{way}, killed: {is_killed}");
        }
    }
}

#[test]
fn a_journal_that_is_begun_anew_holds_readings_of_when_they_were_measured_without_what_was_derived() {
    let mut world = World::with(settings(), model_of_dew_point());
    // Two minutes after the time that a slot stands for: it belongs to the next one.
    let seconds = (120..=5 * HOUR).step_by(600);
    for second in seconds.clone() {
        world.pass(600);
        world.send("roof", at(second), in_readings("whole", second).remove(0));
    }
    world.journal = Default::default();
    world.input(Input::JournalRecreated);
    world.settle_all();
    let expected = seconds.map(|second| {
        // The model does not look at the humidity, so that memory does not hold it.
        ((name("roof"), at(second)), Bits(only(Quantity::AirTemperature, temperature(second))))
    });
    assert_eq!(world.journal.readings, expected.collect());
    let newest = (at(5 * HOUR - 60), only(Quantity::AirTemperature, 3.0));
    world.send("roof", newest.0, newest.1);
    for is_killed in [false, true] {
        if is_killed {
            world.kill();
        }
        assert_eq!(world.service.remembered(&name("roof")).unwrap().pop(), Some(newest), "{is_killed}");
    }
}

#[test]
fn a_journal_that_is_begun_anew_gets_every_forecast_that_waits_whoever_made_it() {
    let main = model(SAMPLES);
    let mut world = World::with(Settings { experts: true, ..settings() }, main);
    world.load_specialists([specialist("own@1", SAMPLES)]);
    for second in (0..=15 * HOUR).step_by(600) {
        // Without pressure the main model cannot run, and at first neither can the specialist.
        let mut values = weather(temperature(second));
        if second < 8 * HOUR {
            values.remove(Quantity::AirPressure);
        }
        world.pass(600);
        world.send("roof", at(second), values);
    }
    world.flush_all();
    let before = std::mem::take(&mut world.journal);
    let made_by = |model: &str| before.forecasts.values().any(|forecast| forecast.model == model);
    assert!(made_by("reference") && made_by("own@1") && made_by("test@0"));
    world.input(Input::JournalRecreated);
    world.settle_all();
    let plain = |journal: &Journal| {
        let forecasts = journal.forecasts.iter();
        forecasts
            .map(|(key, forecast)| (key.clone(), without_quantiles(forecast.clone())))
            .collect::<Vec<_>>()
    };
    assert_eq!(plain(&world.journal), plain(&before));
}
