//! What the API says.

use serde_json::{Value, json};

use crate::world::{CHANGE_C, HALF_WIDTH_C, World, encoded};

fn degrees(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_is_told_with_status_and_forecast_as_they_are_on_their_topics() {
    let mut world = World::start().await;
    world.fill("roof", 4, |hour| 10.0 - hour as f64).await;
    let forecast = {
        let newest = world.now.to_string();
        world
            .home
            .json("forecast/roof/temperature", |forecast| forecast["issued_at"] == newest.as_str())
            .await
    };
    let station = world.json("/api/v1/stations/roof");
    assert_eq!(station["forecast"], forecast);
    assert_eq!(station["status"]["state"], "ready");
    assert_eq!((degrees(&station["temperature_c"]), &station["specialists"]), (10.0, &json!([])));
    assert_eq!(world.json("/api/v1/stations/roof/forecast"), forecast);
    assert_eq!(degrees(&forecast["temperature_24h_c"]), 10.0 + 24.0 * CHANGE_C);

    let (status, problem) = world.daemon.get("/api/v1/stations/cellar");
    assert_eq!(status, 404);
    let expected =
        json!({"title": "Not Found", "status": 404, "detail": "no station of this name is served"});
    assert_eq!(serde_json::from_str::<Value>(&problem).unwrap(), expected);
    let (status, problem) = world.daemon.get("/api/v1/stations/roof/forecast?fromat=csv");
    assert!(status == 400 && problem.contains("fromat: not known here; known: format"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stations_are_listed_with_a_day_back_and_a_day_ahead() {
    let world = World::start().await;
    world.fill("roof", 26, |hour| -(hour as f64)).await;
    world.fill("Rooftop 2", 0, |_| 3.25).await;
    world.fill("garden", 0, |_| 1.0).await;
    let list = world.json("/api/v1/stations?search=ROOF");
    assert_eq!((&list["served"], &list["matching"], &list["after"]), (&json!(3), &json!(2), &json!(null)));
    let [second, roof] = &list["stations"].as_array().unwrap()[..] else { panic!("two: {list}") };
    assert_eq!((&second["station"], &second["state"]), (&json!("Rooftop 2"), &json!("warming_up")));
    assert_eq!(roof["state"], "ready");
    // As far as the models look back: the window of this one ends two hours before now.
    let observed = roof["observed_hourly_c"].as_array().unwrap();
    assert_eq!(observed.len(), 25);
    let newest: Vec<f64> = observed.iter().rev().take(3).map(degrees).collect();
    assert_eq!(newest, [0.0, -1.0, -2.0]);
    let ahead: Vec<f64> = roof["forecast_hourly_c"].as_array().unwrap().iter().map(degrees).collect();
    assert_eq!(ahead, (1..=24).map(|lead| f64::from(lead) * CHANGE_C).collect::<Vec<_>>());
    let ends = (degrees(&roof["low_24h_c"]), degrees(&roof["high_24h_c"]));
    assert_eq!(ends, (24.0 * CHANGE_C - HALF_WIDTH_C, 24.0 * CHANGE_C + HALF_WIDTH_C));

    let first = world.json("/api/v1/stations?limit=2");
    assert_eq!((&first["after"], &first["matching"]), (&json!("garden"), &json!(3)));
    let rest = world.json("/api/v1/stations?limit=2&after=garden");
    assert_eq!((&rest["stations"][0]["station"], &rest["after"]), (&json!("roof"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_counts_the_readings_that_have_what_is_asked_for() {
    let world = World::start().await;
    for hour in (1..=4).rev() {
        world.read("roof", world.ago(hour), 10.0 - hour as f64).await;
    }
    let humid = format!(r#"{{"time":"{}","relative_humidity_pct":60}}"#, world.now);
    world.home.hand_in("weather/roof/reading", humid).await;
    let of = "/api/v1/stations/roof/observations";
    world.reaches(of, |found| found["observations"].as_array().is_some_and(|rows| rows.len() == 5)).await;
    let times = |query: &str| -> (Value, Vec<Value>) {
        let found = world.json(&format!("{of}?{query}"));
        let rows = found["observations"].as_array().unwrap();
        (found["truncated"].clone(), rows.iter().map(|row| row["time"].clone()).collect())
    };
    let ago = |hours| json!(world.ago(hours).to_string());
    assert_eq!(times("limit=2&quantity=air_temperature_c"), (json!(true), vec![ago(2), ago(1)]));
    assert_eq!(
        times("limit=4&quantity=air_temperature_c"),
        (json!(false), vec![ago(4), ago(3), ago(2), ago(1)])
    );
    assert_eq!(times("limit=2"), (json!(true), vec![ago(1), ago(0)]));
}

/// The temperature falls by 0.25 °C an hour, and the model says that it rises by 0.5: a day ahead it is wrong by 24 · 0.75 = 18 °C,
/// and persistence by 6.
#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_told_beside_what_was_observed_hour_by_hour_and_day_by_day() {
    let world = World::start().await;
    let hours = 5 * 24;
    // °C at so many hours ago.
    let temperature = |hour: i64| 0.25 * hour as f64;
    world.fill("roof", hours, temperature).await;
    let from = world.ago(10);
    let path = format!("/api/v1/stations/roof/observations?from={from}");
    let has_all = |found: &Value| found["observations"].as_array().is_some_and(|rows| rows.len() == 11);
    let found = world.reaches(&path, has_all).await;
    assert_eq!((&found["from"], &found["truncated"]), (&json!("journal"), &json!(false)));
    let first = &found["observations"][0];
    assert_eq!((&first["time"], degrees(&first["air_temperature_c"])), (&json!(from.to_string()), 2.5));
    assert!(first["air_pressure_hpa"].is_number(), "{first}");
    let latest = world.json("/api/v1/stations/roof/observations?limit=2&quantity=air_temperature_c");
    assert_eq!(latest["truncated"], true);
    let rows = latest["observations"].as_array().unwrap();
    assert_eq!(rows[1], json!({"time": world.now.to_string(), "air_temperature_c": 0.0}));

    let from = world.ago(30);
    let past = world.json(&format!("/api/v1/stations/roof/forecasts?from={from}&every=hour"));
    let rows = past["forecasts"].as_array().unwrap();
    assert_eq!((&past["lead_h"], rows.len()), (&json!(24), 31));
    let first = &rows[0];
    assert_eq!((&first["valid_at"], &first["source"]), (&json!(from.to_string()), &json!("model")));
    assert_eq!(degrees(&first["observed_c"]), temperature(30));
    assert_eq!(degrees(&first["persistence_c"]), temperature(54));
    assert_eq!(degrees(&first["yesterday_c"]), temperature(54));
    assert_eq!(degrees(&first["temperature_c"]), temperature(54) + 24.0 * CHANGE_C);
    assert_eq!(degrees(&first["low_c"]), temperature(54) + 24.0 * CHANGE_C - HALF_WIDTH_C);

    let days = world.json("/api/v1/stations/roof/verification/days?time_zone=Asia/Kolkata&days=3");
    let rows = days["days"].as_array().unwrap();
    // Of five days the first has no forecast of a day ahead, and the last is not over.
    assert_eq!((rows.len(), &days["counted_days"]), (3, &json!(3)), "{days}");
    assert_eq!(days["closer_than_persistence_days"], 0);
    for day in rows {
        assert_eq!((degrees(&day["mae_c"]), degrees(&day["persistence_mae_c"])), (18.0, 6.0), "{day}");
        assert_eq!((degrees(&day["yesterday_mae_c"]), degrees(&day["coverage"])), (6.0, 0.0));
    }
    let (status, problem) = world.daemon.get("/api/v1/stations/roof/verification/days?time_zone=Moon/Base");
    assert!(status == 400 && problem.contains("time_zone: no time zone of this name"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_good_a_station_has_been_is_told_as_it_is_on_its_topic_and_up_to_the_hour_that_was_scored() {
    let mut world = World::start().await;
    // One after the other: when a burst is scored, the topic says once what the first score of an hour was.
    for hour in (0..=6).rev() {
        let time = world.ago(hour).to_string();
        world.read("roof", world.ago(hour), -(hour as f64)).await;
        let has_forecast = |answer: &Value| answer["forecast"]["issued_at"] == time.as_str();
        world.reaches("/api/v1/stations/roof", has_forecast).await;
    }
    // The newest hour may still change: the one before it is the last that is scored.
    let closed = world.ago(1).to_string();
    let on_topic = world
        .home
        .json("forecast/roof/verification", |found| found["verified_until"] == closed.as_str())
        .await;
    assert_eq!(world.json("/api/v1/stations/roof/verification"), on_topic);
    world.fill("cellar", 0, |_| 1.0).await;
    let unscored = world.json("/api/v1/stations/cellar/verification");
    assert_eq!((&unscored["leads"], &unscored["verified_until"]), (&json!([]), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_person_would_open_a_spreadsheet_there_is_csv() {
    let world = World::start().await;
    world.fill("roof", 30, |hour| hour as f64).await;
    let lines = |path: &str| -> Vec<String> {
        let (status, body) = world.daemon.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        body.lines().map(str::to_owned).collect()
    };
    let now = world.now.to_string();
    world
        .reaches("/api/v1/stations/roof/observations?limit=1", |found| {
            found["observations"][0]["time"] == now.as_str()
        })
        .await;
    let observations = lines(&format!("/api/v1/stations/roof/observations?format=csv&from={}", world.ago(1)));
    assert_eq!(observations[0], "time,air_temperature_c,air_pressure_hpa");
    assert!(observations[2].starts_with(&format!("{now},0.0,10")), "{observations:?}");
    let forecast = lines("/api/v1/stations/roof/forecast?format=csv");
    assert_eq!((forecast.len(), forecast[0].as_str()), (25, "valid_at,lead_h,temperature_c,low_c,high_c"));
    assert!(forecast[24].ends_with(",24,12.0,10.5,13.5"), "{forecast:?}");
    let past = lines("/api/v1/stations/roof/forecasts?format=csv&lead_h=1");
    assert_eq!(
        past[0],
        "issued_at,valid_at,source,model,temperature_c,low_c,high_c,persistence_c,yesterday_c,observed_c"
    );
    let scores = lines("/api/v1/stations/roof/verification?format=csv");
    assert!(
        scores[0].starts_with("lead_h,forecasts,mae_c,rmse_c") && scores[1].starts_with("1,"),
        "{scores:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_journal_there_is_what_memory_holds_and_no_past_forecast() {
    let world = World::start_with(|installation| installation.set("journal.enabled", false)).await;
    world.fill("roof", 30, |_| 1.0).await;
    let found = world.json("/api/v1/stations/roof/observations");
    assert_eq!(found["from"], "memory");
    assert!(found["observations"].as_array().unwrap().len() >= 3, "{found}");
    assert_eq!(world.json("/api/v1/stations/roof/forecasts")["forecasts"], json!([]));
    assert_eq!(world.json("/api/v1/stations/roof/verification/days")["counted_days"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_any_characters_is_a_station_of_its_own() {
    let world = World::start().await;
    let name = "<script>alert('1')</script>".replace('/', "|") + "\"&%2e ?=\u{202e}ة";
    world.fill(&name, 0, |_| 4.0).await;
    let station = world.json(&format!("/api/v1/stations/{}", encoded(&name)));
    assert_eq!(station["station"], name.as_str());
    let list = world.json(&format!("/api/v1/stations?search={}", encoded("<SCRIPT>")));
    assert_eq!(list["stations"][0]["station"], name.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_models_in_use_show_their_cards() {
    let world = World::start().await;
    let models = world.json("/api/v1/models");
    let [card] = &models.as_array().unwrap()[..] else { panic!("one: {models}") };
    assert!(card["model"].as_str().unwrap().starts_with("linear@"), "{card}");
    assert_eq!((&card["role"], &card["window_hours"]), (&json!("main"), &json!(2.0)));
    assert_eq!(card["inputs"], json!(["air_pressure", "air_temperature"]));
    assert_eq!(card["site"], json!({"latitude_deg": 50.91, "longitude_deg": 11.57}));
}
