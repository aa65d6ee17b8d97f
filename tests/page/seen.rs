//! The page as people see it.

use forecastd_testkit::browser::{Browser, DESK, Look, PHONE};
use forecastd_testkit::patience::until;
use jiff::SignedDuration;
use serde_json::Value;

use crate::world::World;

/// Opens the page, of a station or of all.
fn open(world: &World, look: Look, station: Option<&str>) -> Browser {
    let browser = Browser::start(look);
    browser.go(&world.page(station));
    browser
}

/// The console must have been told nothing.
fn is_quiet(browser: &Browser) {
    let told = browser.console();
    assert!(told.is_empty(), "{told:#?}");
}

/// What axe-core, the usual checker of accessibility, finds wrong.
fn accessibility_violations(browser: &Browser) -> Vec<String> {
    browser.run(&forecastd_testkit::needed::axe_script());
    let found = browser.run_to_the_end(
        "const done = arguments[arguments.length - 1];
         axe.run(document).then((found) => done(found.violations.map((violation) =>
           `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.html + node.any.map((check) => check.message)).join(' | ')}`)));",
    );
    serde_json::from_value(found).unwrap()
}

/// A week of days and nights, to the hour.
fn days_and_nights(hour: i64) -> f64 {
    let angle = hour as f64 / 24.0 * std::f64::consts::TAU;
    (20.0 * angle.cos()).round() / 4.0 + 1.0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_station_is_shown_at_once_with_now_the_hours_ahead_and_how_good_it_has_been() {
    let world = World::start().await;
    world.fill("roof", 5 * 24, days_and_nights).await;
    let browser = open(&world, DESK, None);
    // The model says 0.5 °C more for each hour, and 1.5 °C to either side.
    browser.shows("In 24 hours\n18.0°").await;
    browser.shows("16.5° to 19.5°").await;
    // The models are asked for after the station.
    for part in ["roof", "Now\n6.0°", "The next 24 hours", "What makes the forecast", "linear@"] {
        browser.shows(part).await;
    }
    browser.shows("The last week").await;
    // How many days are over depends on the hour. Every day is like the one before, so that "same as now" is never wrong.
    browser.reaches("return /it was closer than “same as now” on 0 of the last [34] days/.test(document.body.innerText)").await;
    browser.shows("forecast 24 hours before").await;
    // Half the observations are a day's wave away.
    assert!(browser.text().contains("within the 80 % interval"), "{}", browser.text());
    let charts = browser.run(
        "return [...document.querySelectorAll('svg.chart')].map((chart) => chart.getAttribute('aria-label'))",
    );
    assert_eq!(charts.as_array().unwrap().len(), 4, "{charts}");
    assert_eq!(accessibility_violations(&browser), Vec::<String>::new());
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn experts_and_quantities_are_said_in_words() {
    let world = World::start_with(|installation| installation.set("forecast.experts", true)).await;
    world.fill("roof", 5 * 24, days_and_nights).await;
    let browser = open(&world, DESK, None);
    browser.shows("same as at this time yesterday").await;
    let listed =
        browser.run("return document.querySelector('.weights').innerText").as_str().unwrap().to_owned();
    for part in ["same as now", "yesterday’s course, moved to now", "model"] {
        assert!(listed.contains(part), "{part:?} in {listed}");
    }
    for name in ["persistence", "mixture", "linear"] {
        assert!(!listed.contains(name), "{name:?} in {listed}");
    }
    let text = browser.text();
    assert!(text.contains("temperature; the last") && !text.contains("air temperature"), "{text}");
    assert_eq!(accessibility_violations(&browser), Vec::<String>::new());
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_the_page_is_open_is_seen_without_a_reload() {
    let world = World::start().await;
    world.fill("roof", 4, |_| 10.0).await;
    let browser = open(&world, DESK, Some("roof"));
    browser.shows("In 24 hours\n22.0°").await;
    browser.run("window.isTheSame = true");
    let time = (world.now + SignedDuration::from_mins(10)).min(jiff::Timestamp::now());
    world.read("roof", time, -3.5).await;
    browser.shows("Now\n−3.5°").await;
    browser.shows("In 24 hours\n8.5°").await;
    browser.reaches("return window.isTheSame === true").await;
    world.home.clear("weather/roof/reading").await;
    browser.shows("No longer served.").await;
    // A page that asks for a station that is not there is told so by the browser's console, and no other is.
    assert!(browser.console().iter().all(|line| line.contains("404")), "{:?}", browser.console());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_was_not_there_appears_by_itself_with_its_first_reading() {
    let world = World::start().await;
    let browser = open(&world, DESK, Some("roof"));
    browser.shows("It appears here by itself with its first reading.").await;
    browser.run("window.isTheSame = true");
    world.fill("roof", 4, |_| 10.0).await;
    browser.shows("In 24 hours\n22.0°").await;
    browser
        .reaches("return window.isTheSame === true && !document.body.innerText.includes('No such station')")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_is_said_and_found_again() {
    let mut world = World::start().await;
    world.fill("roof", 4, |_| 10.0).await;
    let browser = open(&world, DESK, Some("roof"));
    browser.shows("In 24 hours\n22.0°").await;
    let address = world.daemon.address();
    world.daemon.kill().await;
    browser.shows("Connection lost at").await;
    assert!(browser.text().contains("Now\n10.0°"), "{}", browser.text());
    let installation = world.installation.set("http.listen", address);
    let _daemon = installation.start().await;
    browser.reaches("return document.getElementById('lost').hidden").await;
    drop(world.home);
    drop(world.mosquitto);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_while_it_warms_up_is_said() {
    let world = World::start().await;
    world.fill("roof", 0, |_| 10.0).await;
    let browser = open(&world, PHONE, None);
    browser.shows("Warming up.").await;
    browser.shows("The model looks at the last 2 hours: 2 h of temperature are still missing.").await;
    browser.shows("No forecast has been verified yet").await;
    assert_eq!(accessibility_violations(&browser), Vec::<String>::new());
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_has_fallen_silent_is_said_to_be_stale_and_so_is_its_forecast() {
    let mut world = World::start().await;
    for hour in (5..=9).rev() {
        world.read("roof", world.ago(hour), 10.0).await;
    }
    let newest = world.ago(5).to_string();
    world.reaches("/api/v1/stations/roof", |found| found["forecast"]["issued_at"] == newest.as_str()).await;
    // stations.stale_after_s is two hours.
    world.restart_without_states().await;
    world.reaches("/api/v1/stations/roof", |station| station["status"]["state"] == "stale").await;
    let browser = open(&world, DESK, None);
    browser.shows("Nothing new for too long.").await;
    browser.shows("nothing has come since").await;
    assert_eq!(accessibility_violations(&browser), Vec::<String>::new());
    is_quiet(&browser);
}

/// As after an import: there is a history, and no forecast before the first live reading.
#[tokio::test(flavor = "multi_thread")]
async fn a_station_of_which_there_are_readings_alone_is_shown_as_a_whole() {
    let mut world = World::start().await;
    for hour in (5..=9).rev() {
        world.read("roof", world.ago(hour), 10.0).await;
    }
    let newest = world.ago(5).to_string();
    world.reaches("/api/v1/stations/roof", |found| found["forecast"]["issued_at"] == newest.as_str()).await;
    world.restart_with_readings_alone().await;
    let is_bare = |station: &Value| station["status"]["state"] == "stale" && station["forecast"].is_null();
    world.reaches("/api/v1/stations/roof", is_bare).await;
    let browser = open(&world, DESK, None);
    browser.shows("Nothing new for too long.").await;
    browser.shows("No forecast has been verified yet").await;
    browser.shows("The last week").await;
    browser.shows("Looks at").await;
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_another_time_are_said_to_be_of_another_time() {
    let world = World::start().await;
    for hour in 0..5 {
        world.home.read("roof", hour * 60, 10.0).await;
    }
    world.reaches("/api/v1/stations/roof", |station| station["forecast"]["source"] == "model").await;
    let browser = open(&world, DESK, None);
    browser.shows("Readings of another time.").await;
    browser.shows("1 Jan 2020").await;
    browser.shows("In 24 hours\n22.0°").await;
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_is_shown_as_the_text_that_it_is() {
    let world = World::start().await;
    let names =
        ["<img src=x onerror=alert(1)>", "\"><script>document.title='x'<|script>", "\u{202e}live\u{2066} ة"];
    for name in names {
        world.fill(name, 4, |_| 10.0).await;
    }
    let browser = open(&world, DESK, None);
    browser.shows("3 stations").await;
    let shown =
        browser.run("return [...document.querySelectorAll('.name')].map((name) => name.textContent).sort()");
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(shown, Value::from(expected));
    for name in names {
        browser.go(&world.page(Some(name)));
        browser.shows("In 24 hours\n22.0°").await;
        browser
            .reaches(&format!("return document.querySelector('h1').textContent === {}", Value::from(name)))
            .await;
        assert_eq!(browser.run("return document.title"), format!("{name} – forecastd").as_str());
    }
    assert_eq!(browser.run("return document.querySelectorAll('main img, main script').length"), 0);
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_stations_are_a_list_that_is_searched() {
    let world = World::start().await;
    for index in 0..60 {
        world.fill(&format!("station {index:02}"), 0, |_| f64::from(index)).await;
    }
    let browser = open(&world, PHONE, None);
    browser.shows("60 stations").await;
    let count = "return document.querySelectorAll('.stations li').length";
    assert_eq!(browser.run(count), 50);
    browser.run("document.querySelector('.more').click()");
    browser.reaches("return document.querySelectorAll('.stations li').length === 60").await;
    // Who is at a station by the keyboard stays there when the list is drawn anew.
    browser.run("document.querySelectorAll('.stations a')[7].focus()");
    world.fill("station 60", 0, |_| 0.0).await;
    browser.shows("61 stations").await;
    let focused = "return document.activeElement.closest('.stations') && document.activeElement.innerText";
    let focused = browser.run(focused);
    assert!(focused.as_str().is_some_and(|text| text.contains("station 07")), "{focused}");
    browser.run(
        "const search = document.getElementById('search');
         search.value = 'TION 4';
         search.dispatchEvent(new Event('input'))",
    );
    browser.shows("10 of 61 stations").await;
    assert_eq!(accessibility_violations(&browser), Vec::<String>::new());
    browser.run("document.querySelector('.stations a').click()");
    browser.shows("Warming up.").await;
    assert_eq!(browser.run("return document.querySelector('h1').textContent"), "station 40");
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_phone_need_not_scroll_sideways_and_dark_is_as_readable_as_light() {
    let world = World::start().await;
    let name = "a-name-as-long-as-any-can-be-without-a-single-space-to-break-it";
    world.fill(name, 3 * 24, days_and_nights).await;
    for look in [PHONE, Look { is_dark: true, ..PHONE }, Look { is_dark: true, ..DESK }] {
        let browser = open(&world, look, None);
        browser.shows("forecast 24 hours before").await;
        let width = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(width <= u64::from(look.width), "{width} px in a window of {}", look.width);
        let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground == "rgb(16, 22, 29)", look.is_dark, "{ground}");
        assert_eq!(accessibility_violations(&browser), Vec::<String>::new());
        is_quiet(&browser);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_is_chosen_once_and_the_chart_is_read_out_with_keys() {
    let world = World::start().await;
    world.fill("roof", 4, |_| 10.0).await;
    let browser = open(&world, DESK, None);
    browser.shows("In 24 hours\n22.0°").await;
    browser.run("document.querySelector('[data-unit=f]').click()");
    // 10 °C are 50 °F, 22 °C are 71.6 °F.
    browser.shows("Now\n50.0°").await;
    browser.shows("In 24 hours\n71.6°").await;
    browser.go(&world.page(None));
    browser.shows("In 24 hours\n71.6°").await;
    browser.run("document.querySelector('.plot').focus()");
    // Five observations, then the first hour ahead: 10.5 °C, 9 to 12 °C.
    let readout =
        || browser.run("return document.querySelector('.readout').textContent").as_str().unwrap().to_owned();
    for _ in 0..6 {
        browser.press("ArrowRight");
    }
    until(readout, || readout().contains("50.9°, with 80 % from 48.2° to 53.6°").then_some(())).await;
    is_quiet(&browser);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_from_elsewhere_and_nothing_is_run_that_is_no_file_of_ours() {
    let world = World::start().await;
    world.fill("roof", 4, |_| 10.0).await;
    let browser = open(&world, DESK, None);
    browser.shows("In 24 hours\n22.0°").await;
    let asked = browser
        .run("return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)");
    let own = world.daemon.address().to_string();
    let asked: Vec<String> = serde_json::from_value(asked).unwrap();
    assert!(asked.len() > 8 && asked.iter().all(|host| *host == own), "{asked:?}");
    browser.run("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.isRun = true' }))");
    assert_eq!(browser.run("return window.isRun === undefined"), true);
    let refused = browser.console();
    assert!(refused.iter().any(|line| line.contains("Content Security Policy")), "{refused:?}");
}
