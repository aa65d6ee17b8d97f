//! `docs/reference.md` is generated: keys from the shipped default, topics and payloads from what the daemon encodes, metrics
//! from a recorded scrape. It is compared with what it should be; `INSTA_UPDATE=always` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use forecastd::config::{self, KeyGroup};
use forecastd::operations::metrics::Metrics;
use forecastd::wire::{forecast, status};
use forecastd_core::{
    Below, DayAhead, DayVerification, Extreme, Forecast, LeadForecast, LeadStanding, Oddity, Place,
    Readiness, Score, Scores, Site, Source, Standing, StationName, StationState,
};

/// What a field of a payload says: the payload, the field's path, its unit or shape, the meaning.
const FIELDS: &[(&str, &str, &str, &str)] = &[
    ("forecast", "station", "name", "the station, as in the topic"),
    (
        "forecast",
        "issued_at",
        "RFC 3339, UTC",
        "the time of the newest reading that the forecast is made from",
    ),
    ("forecast", "model", "name@hash", "the model, or that of the reference forecast"),
    (
        "forecast",
        "source",
        "word",
        "`model`, or `reference` where no model can run (without `forecast.experts`, `persistence`)",
    ),
    ("forecast", "temperature_c", "°C", "the temperature now"),
    ("forecast", "temperature_24h_c", "°C", "that of the lead of 24 hours, for those who want one number"),
    ("forecast", "stale", "true", "the station has been silent for `stations.stale_after_s`; absent else"),
    (
        "forecast",
        "quantiles[]",
        "0 to 1",
        "the levels of everything that ends in `quantiles_c`; absent without a model",
    ),
    (
        "forecast",
        "leads[].lead_h",
        "h",
        "hours from the slot of the time grid that the newest reading is in, which may differ from `issued_at` by part of a slot; \
         `valid_at` is exact",
    ),
    ("forecast", "leads[].valid_at", "RFC 3339, UTC", "the time that is forecast"),
    ("forecast", "leads[].temperature_c", "°C", "the temperature then"),
    ("forecast", "leads[].low_c", "°C", "the lower end of the 80 % interval; absent where there is none"),
    ("forecast", "leads[].high_c", "°C", "its upper end"),
    (
        "forecast",
        "leads[].quantiles_c[]",
        "°C",
        "the temperature that is not exceeded with each probability of `quantiles`",
    ),
    ("forecast", "day_ahead.hours", "h", "how many hours from now the following is about"),
    ("forecast", "day_ahead.lowest_c", "°C", "the lowest temperature of them"),
    ("forecast", "day_ahead.lowest_low_c", "°C", "the lower end of its 80 % interval"),
    ("forecast", "day_ahead.lowest_high_c", "°C", "the upper end"),
    ("forecast", "day_ahead.lowest_quantiles_c[]", "°C", "the quantiles of the lowest"),
    ("forecast", "day_ahead.highest_c", "°C", "the highest temperature of them"),
    ("forecast", "day_ahead.highest_low_c", "°C", "the lower end of its 80 % interval"),
    ("forecast", "day_ahead.highest_high_c", "°C", "the upper end"),
    ("forecast", "day_ahead.highest_quantiles_c[]", "°C", "the quantiles of the highest"),
    ("forecast", "day_ahead.frost_probability", "0 to 1", "how likely the lowest is below 0 °C"),
    ("forecast", "day_ahead.below[].threshold_c", "°C", "`forecast.threshold_c`"),
    ("forecast", "day_ahead.below[].probability", "0 to 1", "how likely the lowest is below it"),
    ("station_status", "station", "name", "the station, as in the topic"),
    (
        "station_status",
        "state",
        "word",
        "`ready`, `warming_up`, `stale`, `silent` (nothing yet), `no_place`, `elsewhere`",
    ),
    ("station_status", "missing_hours", "h", "how much history the model still lacks; while it warms up"),
    ("station_status", "missing", "quantity", "what lacks it; while it warms up"),
    (
        "station_status",
        "model_distance_km",
        "km",
        "how far away the model's site is, where `model.anywhere` lets it run",
    ),
    (
        "station_status",
        "newest_reading",
        "RFC 3339, UTC",
        "the time of the newest reading when this was published: on a change, and at least once an hour; the forecast's `issued_at` \
         follows every reading",
    ),
    ("station_status", "place.latitude_deg", "° north", "where the station stands"),
    ("station_status", "place.longitude_deg", "° east", "where the station stands"),
    ("station_status", "place.elevation_m", "m", "its elevation above sea level, where it is known"),
    (
        "station_status",
        "place.precision",
        "word",
        "how well that is known: `given`, `payload`, `time_zone`, `country` or `missing`",
    ),
    (
        "station_status",
        "odd[]",
        "word",
        "what looks wrong about the station: `clock` (the daily wave of temperature is at an hour at which it is nowhere: the \
         times, or the place), `sea_level_pressure` (it is reduced, or the elevation is wrong), `outside_training` (a measure is \
         beyond what the main model was trained on), `whole_degrees` (the temperature is rounded), `place_differs` (the payload says another place than the configuration, \
         which counts), `moved` (the payload says another place than before; what was known was forgotten); absent when nothing \
         does",
    ),
    ("station_status", "model", "name@hash", "the main model"),
    ("verification", "station", "name", "the station, as in the topic"),
    ("verification", "model", "name@hash", "the main model"),
    (
        "verification",
        "verified_until",
        "RFC 3339, UTC",
        "the newest hour that a forecast was scored for; absent before the first",
    ),
    (
        "verification",
        "rolling_days",
        "days",
        "each score weighs exp(−age / this), but for those that begin with `lifetime`",
    ),
    ("verification", "leads[].lead_h", "h", "the lead"),
    ("verification", "leads[].forecasts", "count", "forecasts that were ever scored"),
    ("verification", "leads[].mae_c", "K", "mean absolute error"),
    ("verification", "leads[].rmse_c", "K", "root of the mean squared error"),
    ("verification", "leads[].bias_c", "K", "mean of forecast minus observation"),
    ("verification", "leads[].persistence_mae_c", "K", "mean absolute error of \"same as now\""),
    ("verification", "leads[].yesterday_mae_c", "K", "that of \"same as at this time yesterday\""),
    ("verification", "leads[].skill", "ratio", "1 − `mae_c` / `persistence_mae_c`"),
    (
        "verification",
        "leads[].coverage",
        "0 to 1",
        "how often the observation was within the interval; 0.8 is asked for",
    ),
    ("verification", "leads[].lifetime_mae_c", "K", "mean absolute error since the beginning"),
    ("verification", "leads[].lifetime_skill", "ratio", "skill since the beginning"),
    ("verification", "experts[].name", "name", "an expert: a model, or a reference forecast"),
    ("verification", "experts[].asleep", "true", "it has said nothing of late; absent else"),
    ("verification", "experts[].leads[].lead_h", "h", "the lead: the first, and every third"),
    ("verification", "experts[].leads[].weight", "0 to 1", "how much it counts; all experts together are 1"),
    ("verification", "experts[].leads[].mae_c", "K", "its own mean absolute error over 30 days"),
    ("verification", "day_ahead.forecasts", "count", "days ahead that were ever scored"),
    ("verification", "day_ahead.lowest.mae_c", "K", "mean absolute error of the lowest"),
    ("verification", "day_ahead.lowest.pinball_c", "K", "mean pinball loss over the quantiles"),
    ("verification", "day_ahead.lowest.own_days_pinball_c", "K", "that of the station's own last days"),
    (
        "verification",
        "day_ahead.lowest.coverage",
        "0 to 1",
        "how often the observation was within the interval",
    ),
    ("verification", "day_ahead.lowest.lifetime_pinball_c", "K", "pinball loss since the beginning"),
    (
        "verification",
        "day_ahead.lowest.lifetime_own_days_pinball_c",
        "K",
        "that of the station's own last days",
    ),
    ("verification", "day_ahead.highest.mae_c", "K", "mean absolute error of the highest"),
    ("verification", "day_ahead.highest.pinball_c", "K", "mean pinball loss over the quantiles"),
    ("verification", "day_ahead.highest.own_days_pinball_c", "K", "that of the station's own last days"),
    (
        "verification",
        "day_ahead.highest.coverage",
        "0 to 1",
        "how often the observation was within the interval",
    ),
    ("verification", "day_ahead.highest.lifetime_pinball_c", "K", "pinball loss since the beginning"),
    (
        "verification",
        "day_ahead.highest.lifetime_own_days_pinball_c",
        "K",
        "that of the station's own last days",
    ),
    ("verification", "day_ahead.below[].threshold_c", "°C", "0 for frost, or `forecast.threshold_c`"),
    ("verification", "day_ahead.below[].frequency", "0 to 1", "how often it became colder"),
    ("verification", "day_ahead.below[].brier_score", "0 to 1", "mean squared error of the probability"),
    (
        "verification",
        "day_ahead.below[].own_days_brier_score",
        "0 to 1",
        "that of the frequency in the station's own last days",
    ),
    ("verification", "day_ahead.below[].lifetime_brier_score", "0 to 1", "Brier score since the beginning"),
    (
        "verification",
        "day_ahead.below[].lifetime_own_days_brier_score",
        "0 to 1",
        "that of the own last days",
    ),
    ("status", "", "word", "`online` or `offline`, not JSON; the last will of the connection"),
    ("reading", "", "JSON", "readings, in: see below"),
];

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_577_836_800 + 3600 * hour).unwrap()
}

/// A forecast that says all that one can say.
fn whole_forecast() -> Forecast {
    let lead = LeadForecast {
        lead_h: 24,
        valid_at: at(24),
        temperature_c: 3.1,
        interval_c: Some((0.4, 5.9)),
        quantiles_c: Some([-0.8, 0.4, 1.9, 3.1, 4.4, 5.9, 7.2]),
    };
    let extreme = Extreme {
        temperature_c: -1.0,
        interval_c: (-3.0, 1.0),
        quantiles_c: Some([-3.9, -3.0, -1.8, -1.0, -0.2, 1.0, 1.7]),
    };
    let below = |threshold_c| Below { threshold_c, probability: 0.75 };
    Forecast {
        station: StationName::new("roof").unwrap(),
        issued_at: at(0),
        origin: at(0),
        temperature_c: 0.7,
        model: "world@01234567".to_owned(),
        source: Source::Model,
        leads: vec![lead],
        day_ahead: Some(DayAhead {
            hours: 24,
            lowest: extreme,
            highest: extreme,
            below: vec![below(0.0), below(-5.0)],
        }),
    }
}

/// A week of days ahead, each of them verified.
fn verified_days(day_ahead: &DayAhead) -> DayVerification {
    let mut days = DayVerification::default();
    for hour in 0..7 * 24 {
        days.learn_until(at(hour), |_| Some(1.0));
        days.issued(at(hour), day_ahead);
    }
    days
}

/// A payload of each topic with every field that there is.
fn payloads() -> BTreeMap<&'static str, Vec<Value>> {
    let forecast = whole_forecast();
    let station = forecast.station.clone();
    let site = Site { elevation_m: Some(155.0), ..Site::new(50.9, 11.6) };
    let place = Some(Place::given(site));
    let missing = forecastd_core::Missing {
        quantity: forecastd_core::Quantity::AirTemperature,
        remaining: jiff::SignedDuration::from_hours(3),
    };
    let statuses = [Readiness::WarmingUp(missing), Readiness::Ready].map(|readiness| {
        let state = StationState::Fresh(readiness);
        status::encode_status(&station, state, Some(at(0)), place, Some(300), &["clock"], "world@01234567")
    });
    let mut scores = Scores::default();
    scores.add(&Score {
        lead_h: 24,
        valid_at: at(24),
        observed_c: 2.0,
        model_c: 3.0,
        within_interval: Some(true),
        persistence_c: 0.0,
        yesterday_c: Some(5.0),
    });
    let standing = LeadStanding { lead_h: 24, weight: 0.5, mae_c: Some(1.0) };
    let experts = [Standing { name: "world".to_owned(), is_asleep: true, leads: vec![standing] }];
    let days = verified_days(forecast.day_ahead.as_ref().unwrap());
    let (name, day_scores) = ("world@01234567", Some(days.scores()));
    let verification = status::encode_verification(&station, name, &scores, &experts, day_scores);
    let parse = |text: String| serde_json::from_str(&text).unwrap();
    BTreeMap::from([
        ("forecast", vec![parse(forecast::encode(&forecast, true))]),
        ("station_status", statuses.map(parse).to_vec()),
        ("verification", vec![parse(verification)]),
    ])
}

/// The path of every value in a payload.
fn paths(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                paths(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, &format!("{prefix}[]"), found)),
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

fn keys(text: &mut String) {
    text.push_str("## Configuration\n\n");
    text.push_str(
        "`forecastd run --config FILE`; what the file leaves out has the value that stands here, and the environment \
         overrides both: `FORECASTD__MQTT__HOST` is `host` in `[mqtt]`. `forecastd check` lists every fault. The file \
         [deploy/forecastd.toml](../deploy/forecastd.toml) is this list as a file.\n",
    );
    let mut section = String::new();
    for group in config::reference() {
        let is_example = group.is_example();
        let KeyGroup { section: of, text: about, keys } = group;
        if of.is_empty() && !is_example {
            continue;
        }
        if of != section && !of.is_empty() {
            write!(text, "\n### `[{of}]`\n").unwrap();
            section = of;
        }
        text.push('\n');
        if is_example {
            write!(text, "```toml\n{about}\n```\n").unwrap();
            continue;
        }
        for (name, default) in &keys {
            writeln!(text, "- `{name} = {default}`").unwrap();
        }
        let indent = if keys.is_empty() { "" } else { "\n  " };
        writeln!(text, "{indent}{about}").unwrap();
    }
}

fn topics(text: &mut String) {
    text.push_str("\n## Topics and payloads\n\n");
    text.push_str(
        "All that goes out is retained, at QoS 1, and JSON but for `topics.status`. Fields without a value are absent or \
         `null`; more may be added, and none changes its meaning.\n",
    );
    for group in config::reference().into_iter().filter(|group| group.section == "topics") {
        for (key, default) in &group.keys {
            let fields: Vec<_> = FIELDS.iter().filter(|(payload, ..)| payload == key).collect();
            assert!(!fields.is_empty(), "describe the payload of topics.{key} in FIELDS");
            write!(text, "\n### `topics.{key}`: `{}`\n\n", default.trim_matches('"')).unwrap();
            if let [(_, "", _, meaning)] = fields[..] {
                writeln!(text, "{meaning}").unwrap();
                continue;
            }
            text.push_str("| field | unit or shape | |\n| --- | --- | --- |\n");
            for (_, path, unit, meaning) in fields {
                writeln!(text, "| `{path}` | {unit} | {meaning} |").unwrap();
            }
        }
    }
    text.push_str(
        "\nA reading is a JSON object with `time` (RFC 3339, needed) and any of the quantities that \
         `forecastd quantities` lists, each as `quantity_unit`. Where it was measured may \
         stand beside them: `latitude_deg` (degrees north) and `longitude_deg` (degrees east), which count together alone, and \
         `elevation_m` (metres above sea level); without degrees, a `time_zone` (`\"America/Denver\"`), else a `country` (`\"DE\"`). \
         Degrees go before a time zone and that before a country, and of two of a kind that of the configuration before that of \
         the payload; half a place is said in the log:\n\n```json\n\
         {\"time\":\"2020-01-01T00:10:00Z\",\"air_temperature_c\":0.71,\"air_pressure_hpa\":1008.89,\"relative_humidity_pct\":86.1}\n\
         ```\n\nAn empty retained message on a station's reading topic removes the station. Other payloads are described by a \
         `[[source]]` ([mapping.md](mapping.md)).\n",
    );
}

fn metrics(text: &mut String) {
    text.push_str("\n## Metrics\n\n");
    text.push_str(
        "`GET /metrics` on `http.listen`, in Prometheus' text format; `/healthz` is 200 while the daemon makes progress, \
         `/readyz` while it can take readings.\n\n| metric | type | labels | |\n| --- | --- | --- | --- |\n",
    );
    // The recorded daemon has no experts, and says nothing of days ahead.
    let with_experts = Metrics::new();
    let leads = vec![LeadStanding { lead_h: 24, weight: 1.0, mae_c: Some(1.0) }];
    let expert = Standing { name: "world".to_owned(), is_asleep: false, leads };
    with_experts.station_experts(&StationName::new("roof").unwrap(), &[expert]);
    let forecast = whole_forecast();
    with_experts.station_forecast(&forecast);
    with_experts.days_scored(verified_days(forecast.day_ahead.as_ref().unwrap()).scores());
    let recorded = include_str!("snapshots/characterisation__metrics.snap");
    let scrape = &format!("{recorded}\n{}", with_experts.encode());
    let help: BTreeMap<&str, &str> = prefixed(scrape, "# HELP ");
    let kinds: BTreeMap<&str, &str> = prefixed(scrape, "# TYPE ");
    assert!(help.len() > 50 && help.len() == kinds.len(), "the recorded scrape is not read");
    for (name, about) in help {
        let series = scrape.lines().filter(|line| line.starts_with(name));
        let labels: BTreeSet<&str> =
            series.flat_map(|line| labels(line, name)).filter(|label| *label != "le").collect();
        let labels: Vec<&str> = labels.into_iter().collect();
        writeln!(text, "| `{name}` | {} | {} | {about} |", kinds[name], labels.join(", ")).unwrap();
    }
}

fn prefixed<'text>(scrape: &'text str, prefix: &str) -> BTreeMap<&'text str, &'text str> {
    scrape.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once(' ')).collect()
}

/// The names of the labels of a series of this metric.
fn labels<'line>(line: &'line str, name: &str) -> Vec<&'line str> {
    let rest = line.strip_prefix(name).unwrap_or_default();
    let rest = ["_bucket", "_sum", "_count"].iter().find_map(|part| rest.strip_prefix(part)).unwrap_or(rest);
    let Some((inside, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Vec::new();
    };
    inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(label, _)| label).collect()
}

#[test]
fn every_field_of_a_payload_is_described_and_nothing_else_is() {
    for (payload, values) in payloads() {
        let mut found = BTreeSet::new();
        values.iter().for_each(|value| paths(value, "", &mut found));
        let described: BTreeSet<String> =
            FIELDS.iter().filter(|(of, ..)| *of == payload).map(|(_, path, ..)| (*path).to_owned()).collect();
        assert_eq!(found, described, "{payload}: FIELDS in tests/reference.rs");
    }
}

#[test]
fn every_word_for_what_is_odd_is_described() {
    let (.., meaning) = FIELDS.iter().find(|(_, path, ..)| *path == "odd[]").unwrap();
    for name in Oddity::NAMES {
        assert!(meaning.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_reference_is_current() {
    let mut text = String::from(
        "# Reference\n\nEvery key, topic, payload and metric. Generated by `tests/reference.rs` \
         (`INSTA_UPDATE=always cargo test --features train --test reference`); a change by hand is lost.\n\n",
    );
    keys(&mut text);
    topics(&mut text);
    metrics(&mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|wish| wish == "always") {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(text.lines()).position(|(left, right)| left != right);
    assert!(
        written == text,
        "docs/reference.md is not current, from line {:?} on",
        differs.map(|line| line + 1)
    );
}
