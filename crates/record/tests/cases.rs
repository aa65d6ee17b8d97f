//! Files as people have them, with what is right of each: every kind of file that was once misread, with made-up weather.

use std::path::{Path, PathBuf};

use forecastd_core::{Grid, Quantity, Site};
use forecastd_record::{CsvMapping, CsvReader, Record, RecordError, RecordSource, Row};
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A reading of made-up weather: temperature in °C, humidity in %, pressure in hPa, wind in m/s and degrees.
struct Weather {
    time: Timestamp,
    temperature: f64,
    humidity: f64,
    pressure: f64,
    wind: f64,
    direction: f64,
}

/// Weather every `minutes`, of a mild place on the meridian of Greenwich: warmest at 14:40.
fn weather(start: &str, minutes: i64, count: i64) -> Vec<Weather> {
    let start: Timestamp = start.parse().unwrap();
    let reading = |index: i64| {
        let time = start + SignedDuration::from_mins(minutes * index);
        let day = time.as_second() as f64 / 86_400.0;
        let wave = (std::f64::consts::TAU * (day - 14.67 / 24.0)).cos();
        let front = (day * 0.9).sin();
        Weather {
            time,
            temperature: 8.0 + 5.0 * wave + 2.0 * front,
            humidity: 75.0 - 15.0 * wave,
            pressure: 1000.0 + 9.0 * front,
            wind: 3.0 + 2.0 * (day * 3.1).sin(),
            direction: (day * 400.0).rem_euclid(360.0),
        }
    };
    (0..count).map(reading).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn rows(text: &str, mapping: &str) -> Vec<Row> {
    let folder = Folder::new();
    let path = folder.write("record.csv", text);
    let mapping = CsvMapping::parse(mapping).unwrap();
    CsvReader::open(&path, Some(&mapping)).unwrap().map(Result::unwrap).collect()
}

/// The message of the error that a record is, with those of its sources.
fn error_of(result: Result<Record, RecordError>) -> String {
    let error = result.map(|record| record.facts().clone()).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn record_of(path: &Path, mapping: Option<&str>) -> Result<Record, RecordError> {
    let mapping = mapping.map(|mapping| CsvMapping::parse(mapping).unwrap());
    let source = RecordSource::new(path, mapping);
    Record::read(&source, Grid::new(600).unwrap(), &[Quantity::AirTemperature])
}

fn record(text: &str, mapping: Option<&str>) -> Result<Record, RecordError> {
    let folder = Folder::new();
    record_of(&folder.write("record.csv", text), mapping)
}

/// A file in the own format, of what `line` makes of each reading.
fn own(readings: &[Weather], line: impl Fn(&Weather) -> String) -> String {
    let header =
        "time,air_temperature_c,relative_humidity_pct,air_pressure_hpa,wind_speed_m_s,wind_direction_deg\n";
    readings.iter().fold(header.to_owned(), |text, reading| text + &line(reading) + "\n")
}

fn plain(reading: &Weather) -> String {
    let Weather { time, temperature, humidity, pressure, wind, direction } = reading;
    format!("{time},{temperature:.1},{humidity:.0},{pressure:.1},{wind:.1},{direction:.0}")
}

fn suspicions(result: Result<Record, RecordError>) -> String {
    let error = result.map(|record| record.facts().clone()).expect_err("nothing is suspected").to_string();
    assert!(error.contains("or say in a mapping that all is right: sure = ["), "{error}");
    error
}

#[test]
fn an_offset_in_the_text_counts() {
    let mapping = "time = { column = \"Formatted Date\", format = \"%Y-%m-%d %H:%M:%S%.f %z\" }\n\
                   columns.T.quantity = \"air_temperature\"\n";
    let text = "Formatted Date,T\n2024-03-25 01:00:00.000 +0100,1.9\n2024-04-01 01:00:00.000 +0200,2.9\n";
    let times: Vec<String> = rows(text, mapping).iter().map(|(time, _)| time.to_string()).collect();
    assert_eq!(times, ["2024-03-25T00:00:00Z", "2024-03-31T23:00:00Z"]);
    let both = mapping.replace("%z\"", "%z\", utc_offset = \"+01:00\"");
    assert!(CsvMapping::parse(&both).unwrap_err().to_string().contains("has its own offset"));
}

#[test]
fn a_time_in_several_columns_is_joined_and_a_half_one_is_a_fault() {
    let columns = "[columns]\nTEMP.quantity = \"air_temperature\"\n";
    let mapping = |time: &str| format!("time = {{ {time} }}\n{columns}");
    let four = mapping(
        "column = [\"year\", \"month\", \"day\", \"hour\"], format = \"%Y %m %d %H\", utc_offset = \"+08:00\"",
    );
    let text = "No,year,month,day,hour,TEMP,cbwd\n1,2024,1,1,8,8,WNW\n2,2024,1,1,9,6,W\n";
    assert_eq!(rows(text, &four)[0].0.to_string(), "2024-01-01T00:00:00Z");
    let hours = mapping("column = [\"DATE\", \"HH\"], format = \"%Y%m%d %H\"");
    let text = "DATE,HH,TEMP\n20240123,24,7.0\n20240124,1,6.0\n";
    let times: Vec<String> = rows(text, &hours).iter().map(|(time, _)| time.to_string()).collect();
    assert_eq!(times, ["2024-01-24T00:00:00Z", "2024-01-24T01:00:00Z"]);
    for (time, fault) in [
        ("column = \"year\", format = \"%Y\"", "has no date"),
        ("column = \"time\", format = \"%H:%M\"", "has no date"),
        ("column = \"DATE\", format = \"%Y%m%d\"", "has no time of day"),
    ] {
        let error = CsvMapping::parse(&mapping(time)).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
}

#[test]
fn decimal_commas_are_read_where_other_things_stand_between_cells() {
    let mapping = "time = { column = \"time\", format = \"%d/%m/%Y %H:%M\", utc_offset = \"+01:00\" }\n[columns]\n\
                   Temp.quantity = \"air_temperature\"\nBarometer.quantity = \"air_pressure\"\n";
    for text in [
        "time;Barometer;Temp ;Dir\n10/01/2024 00:30;999,6;-1,7;ESE\n",
        "time\tBarometer\tTemp\n10/01/2024 00:30\t999,6\t-1,7\n",
        "time,Barometer,Temp\n10/01/2024 00:30,\"999,6\",\"-1,7\"\n",
        "time|Barometer|Temp\n10/01/2024 00:30|999.6|\u{2212}1,7\n",
    ] {
        let rows = rows(text, mapping);
        assert_eq!(rows[0].0.to_string(), "2024-01-09T23:30:00Z", "{text}");
        assert_eq!(rows[0].1.get(Quantity::AirTemperature), Some(-1.7), "{text}");
        assert_eq!(rows[0].1.get(Quantity::AirPressure), Some(999.6), "{text}");
    }
}

#[test]
fn blanks_between_cells_lines_before_the_header_two_rows_of_it_or_none_are_read() {
    let columns = "[columns]\n";
    let named = |table: &str, time: &str, temperature: &str| {
        format!(
            "table = {{ {table} }}\ntime = {{ {time}, format = \"%Y-%m-%d %H:%M\" }}\n{columns}\"{temperature}\"{}\n",
            ".quantity = \"temperature\""
        )
    };
    let date_and_time = "column = [\"date\", \"time\"]";
    for (text, mapping) in [
        ("date        time   temp\n2024-01-10  00:30  1.5\n", named("", date_and_time, "temp")),
        (
            "Station: garden, made-up\n\n# of 2024\n# date,time,temp\n2024-01-10,00:30,1.5\n",
            named("", date_and_time, "temp"),
        ),
        ("a,b\ndate,time,temp\n2024-01-10,00:30,1.5\n", named("skip_lines = 1", date_and_time, "temp")),
        (
            "\t\tOut\ndate\ttime\ttemp\n2024-01-10\t00:30\t1.5\n",
            named("header_rows = 2", date_and_time, "Out temp"),
        ),
        (
            "2024-01-10 00:30;1.5;80\n",
            "table = { header_rows = 0 }\ntime = { column = 1, format = \"%Y-%m-%d %H:%M\" }\n\
             [[value]]\ncolumn = 2\nquantity = \"temperature\"\n"
                .to_owned(),
        ),
    ] {
        let rows = rows(text, &mapping);
        assert_eq!(rows.len(), 1, "{text}");
        assert_eq!(rows[0].0.to_string(), "2024-01-10T00:30:00Z", "{text}");
        assert_eq!(rows[0].1.get(Quantity::AirTemperature), Some(1.5), "{text}");
    }
}

#[test]
fn civil_time_needs_its_zone_and_the_repeated_hour_is_told_apart_by_order() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    for (start, day) in
        [("2024-10-20T00:00:00Z", date(2024, 10, 27)), ("2024-03-24T00:00:00Z", date(2024, 3, 31))]
    {
        let readings = weather(start, 30, 14 * 48);
        let civil = |time: Timestamp| berlin.to_datetime(time).strftime("%Y/%-m/%-d %-H:%M").to_string();
        let mut text = "Zeit,Temperatur Außen(℃)\n".to_owned();
        for reading in &readings {
            text += &format!("{},{:.1}\n", civil(reading.time), reading.temperature);
        }
        let mapping = |zone: &str| {
            format!(
                "time = {{ column = \"Zeit\", format = \"%Y/%m/%d %H:%M\", {zone} }}\n\
                 columns.\"Temperatur Außen\".quantity = \"air_temperature\"\n"
            )
        };
        let read = rows(&text, &mapping("time_zone = \"Europe/Berlin\""));
        let times: Vec<Timestamp> = read.iter().map(|(time, _)| *time).collect();
        assert_eq!(times, readings.iter().map(|reading| reading.time).collect::<Vec<_>>());
        assert!(record(&text, Some(&mapping("time_zone = \"Europe/Berlin\""))).is_ok());
        let error = suspicions(record(&text, Some(&mapping("utc_offset = \"+01:00\""))));
        assert!(error.contains(&day.to_string()) && error.contains("summer time"), "{error}");
    }
}

#[test]
fn an_hour_that_did_not_exist_is_counted() {
    let mapping = "time = { column = \"t\", format = \"%Y-%m-%d %H:%M\", time_zone = \"Europe/Berlin\" }\n\
                   columns.T.quantity = \"temp\"\n";
    let text = "t,T\n2024-03-31 01:30,1\n2024-03-31 02:30,2\n2024-03-31 03:30,3\n";
    let record = record(text, Some(mapping)).unwrap();
    assert_eq!((record.facts().readings, record.facts().quality.broken), (2, 1));
    let first = record.facts().quality.first_broken.as_deref().unwrap();
    assert!(first.contains(":3: ") && first.contains("does not exist in Europe/Berlin"), "{first}");
}

#[test]
fn seconds_since_1970_are_read_and_recognised() {
    let text = "dateTime,outTemp\n1704845100,35.2\n";
    for format in [", format = \"%s\"", ", format = \"epoch\"", ""] {
        let mapping = format!(
            "time = {{ column = \"dateTime\"{format} }}\ncolumns.outTemp = {{ quantity = \"temp\", unit = \"degF\" }}\n"
        );
        let rows = rows(text, &mapping);
        assert_eq!(rows[0].0.to_string(), "2024-01-10T00:05:00Z", "{format}");
        assert!((rows[0].1.get(Quantity::AirTemperature).unwrap() - 1.78).abs() < 0.01);
    }
    let wrong =
        "time = { column = \"dateTime\", format = \"rfc3339\" }\ncolumns.outTemp.quantity = \"temp\"\n";
    let error = error_of(record(text, Some(wrong)));
    assert!(error.contains("looks like a count since 1970"), "{error}");
    let civil = "time = { column = \"t\" }\ncolumns.T.quantity = \"temp\"\n";
    let error = error_of(record("t,T\n2024-01-10 00:05,1\n", Some(civil)));
    assert!(error.contains("has no offset from UTC: set time_zone"), "{error}");
}

#[test]
fn a_row_for_each_sensor_becomes_one_record() {
    let mut text = "entity_id,state,last_changed\n".to_owned();
    for reading in weather("2024-01-10T00:00:00Z", 60, 100) {
        let Weather { time, temperature, humidity, .. } = reading;
        text += &format!(
            "sensor.out_t,{temperature:.1},{time}\nsensor.out_h,{humidity:.0},{time}\nsensor.hall,21,{time}\n"
        );
    }
    text += "sensor.out_t,unavailable,2024-01-14T04:00:00Z\nsensor.out_h,unknown,2024-01-14T04:00:00Z\n";
    let mapping = "time = { column = \"last_changed\" }\n\
                   columns.t = { column = \"state\", quantity = \"temperature\", where = { entity_id = \"sensor.out_t\" } }\n\
                   columns.h = { column = \"state\", quantity = \"humidity\", where = { entity_id = \"sensor.out_h\" } }\n";
    let record = record(&text, Some(mapping)).unwrap();
    assert_eq!(record.rows().len(), 100);
    assert_eq!((record.facts().quality.broken, record.facts().quality.unreadable.len()), (0, 0));
    let all = "time = { column = \"last_changed\" }\ncolumns.state.quantity = \"temperature\"\n";
    let error = suspicions(self::record(&text, Some(all)));
    assert!(
        error.contains("\"entity_id\" is \"sensor.hall\", \"sensor.out_h\", \"sensor.out_t\""),
        "{error}"
    );
}

#[test]
fn two_stations_in_one_file_are_noticed_and_chosen_between() {
    for (column, minutes) in [("station", 0), ("who", 0), ("station", 3), ("who", 3)] {
        let mut text = format!("{column},valid,tmpc,p\n");
        for reading in weather("2024-01-10T00:00:00Z", 60, 100) {
            let Weather { time, temperature, pressure, .. } = reading;
            let later = time + SignedDuration::from_mins(minutes);
            text += &format!("AAA,{time},{temperature:.1},{pressure:.1}\n");
            text += &format!("BBB,{later},{:.1},{:.1}\n", temperature - 8.0, pressure - 90.0);
        }
        let mapping = "time = { column = \"valid\" }\ncolumns.tmpc.quantity = \"temp\"\ncolumns.p.quantity = \"pressure\"\n";
        let error = suspicions(record(&text, Some(mapping)));
        assert!(error.contains(&format!("{column:?} is \"AAA\", \"BBB\"")), "{error}");
        let chosen = format!("where = {{ {column} = \"AAA\" }}\n{mapping}");
        assert_eq!(record(&text, Some(&chosen)).unwrap().facts().readings, 100);
        let sure = format!("sure = [\"station\"]\n{mapping}");
        assert!(record(&text, Some(&sure)).is_ok());
    }
}

#[test]
fn the_order_of_rows_changes_nothing_and_a_row_of_a_year_to_come_neither() {
    let mut readings = weather("2024-01-10T00:00:00Z", 60, 240);
    // A spike, which is only seen beside the reading before it.
    readings[60].temperature += 40.0;
    let sorted = record(&own(&readings, plain), None).unwrap();
    assert_eq!(sorted.facts().quality.dropped[0].count, 1);
    readings.reverse();
    let newest_first = record(&own(&readings, plain), None).unwrap();
    let mut line = readings.iter().map(plain).next().unwrap();
    line.replace_range(..4, "2099");
    let text = own(&readings, plain).replacen('\n', &format!("\n{line}\n"), 1);
    let with_2099 = record(&text, None).unwrap();
    for other in [&newest_first, &with_2099] {
        assert_eq!(sorted.facts().quality.dropped, other.facts().quality.dropped);
        assert_eq!(sorted.rows(), other.rows());
        let value = |record: &Record, slot| record.history().value(slot, Quantity::AirTemperature).to_bits();
        assert!(sorted.rows().iter().all(|slot| value(&sorted, *slot) == value(other, *slot)));
    }
    assert_eq!(newest_first.facts().quality.unsorted, 239);
    assert_eq!(with_2099.facts().quality.wrong_clock.count, 1);
}

#[test]
fn rows_of_a_clock_that_was_reset_are_left_out_counted_and_not_covered() {
    for year in ["1970", "2000"] {
        let readings = weather("2024-01-10T00:00:00Z", 60, 240);
        let reset = |reading: &Weather| {
            let line = plain(reading);
            match reading.time.to_string().starts_with("2024-01-15T0") {
                true => format!("{year}-01-01{}", &line[10..]),
                false => line,
            }
        };
        let record = record(&own(&readings, reset), None).unwrap();
        assert_eq!(record.facts().quality.wrong_clock.count, 10, "{year}");
        assert_eq!(record.facts().first.to_string(), "2024-01-10T00:00:00Z");
        assert!(record.facts().quality.to_string().contains("10 readings left out, their clock was wrong"));
    }
}

#[test]
fn compass_points_calm_and_marks_for_missing_cost_no_row() {
    let mapping = "time = { column = \"t\", format = \"%Y-%m-%d %H:%M\" }\nmissing = [\"M\", -99.9]\n[columns]\n\
                   T.quantity = \"temp\"\ndir.quantity = \"wind_direction\"\n\
                   s = { quantity = \"wind_speed\", unit = \"kt\", missing = [\"99.0\"] }\n";
    let text = "t,T,dir,s\n2024-01-10 00:00,1.9,VRB,Calm\n2024-01-10 01:00,-99.9,NNW,99.00\n2024-01-10 02:00,M,94,3600\n";
    let rows = rows(text, mapping);
    let get = |row: usize, quantity| rows[row].1.get(quantity);
    assert_eq!((get(0, Quantity::AirTemperature), get(0, Quantity::WindSpeed)), (Some(1.9), Some(0.0)));
    assert_eq!((get(1, Quantity::AirTemperature), get(1, Quantity::WindSpeed)), (None, None));
    assert_eq!(
        (get(0, Quantity::WindFromDirection), get(1, Quantity::WindFromDirection)),
        (None, Some(337.5))
    );
    assert_eq!((get(2, Quantity::AirTemperature), get(2, Quantity::WindSpeed)), (None, Some(1852.0)));
}

#[test]
fn units_that_are_wrong_but_in_range_are_asked_about() {
    let readings = weather("2024-01-01T00:00:00Z", 30, 40 * 48);
    assert!(record(&own(&readings, plain), None).is_ok(), "nothing is wrong with the file as it is");
    let with = |change: &dyn Fn(&Weather) -> Weather| {
        suspicions(record(&own(&readings, |reading| plain(&change(reading)).replace("0.00000", "0")), None))
    };
    let copy = |reading: &Weather| Weather { time: reading.time, ..*reading };
    type Change<'a> = &'a dyn Fn(&Weather) -> Weather;
    let cases: [(&str, Change<'_>, &str); 5] = [
        (
            "°F",
            &|reading| Weather { temperature: reading.temperature * 1.8 + 32.0, ..copy(reading) },
            "unit \"degF\"",
        ),
        (
            "tens of degrees",
            &|reading| Weather { direction: (reading.direction / 10.0).ceil(), ..copy(reading) },
            "unit \"10 deg\"",
        ),
        ("kPa", &|reading| Weather { pressure: reading.pressure / 10.0, ..copy(reading) }, "unit \"kPa\""),
        (
            "a mark",
            &|reading| Weather {
                wind: if reading.time.as_second() % 72_000 == 0 { 50.9 } else { reading.wind },
                ..copy(reading)
            },
            "exactly 50.9 m/s",
        ),
        (
            "K",
            &|reading| Weather { temperature: reading.temperature + 273.15, ..copy(reading) },
            "unit \"K\"",
        ),
    ];
    for (name, change, message) in cases {
        let error = with(change);
        assert!(error.contains(message), "{name}: {error}");
    }
    let fraction = |reading: &Weather| {
        plain(reading).replacen(
            &format!(",{:.0},", reading.humidity),
            &format!(",{:.2},", reading.humidity / 100.0),
            1,
        )
    };
    let error = suspicions(record(&own(&readings, fraction), None));
    assert!(error.contains("relative_humidity: never above 1.05") && error.contains("unit \"1\""), "{error}");
}

#[test]
fn a_dew_point_and_gusts_that_do_not_fit_are_asked_about() {
    let mapping = "time = { column = \"t\" }\n[columns]\nT.quantity = \"temp\"\nh.quantity = \"humidity\"\n\
                   d.quantity = \"dew_point\"\nw.quantity = \"wind_speed\"\ng.quantity = \"wind_gust\"\n";
    let mut text = "t,T,h,d,w,g\n".to_owned();
    for reading in weather("2024-01-10T00:00:00Z", 60, 100) {
        let Weather { time, temperature, humidity, wind, .. } = reading;
        text += &format!(
            "{time},{temperature:.1},{humidity:.0},{:.1},{:.1},{:.1}\n",
            temperature - 15.0,
            wind + 1.0,
            wind / 3.6
        );
    }
    let error = suspicions(record(&text, Some(mapping)));
    assert!(
        error.contains("dew_point_temperature: ") && error.contains("wind_speed_of_gust: slower"),
        "{error}"
    );
    assert!(error.contains("sure = [\"wind_speed_of_gust\", \"dew_point_temperature\"]"), "{error}");
}

#[test]
fn local_time_that_is_called_utc_is_seen_from_the_sun() {
    let readings = weather("2024-05-01T00:00:00Z", 60, 60 * 24);
    let site = "site = { latitude_deg = 50.0, longitude_deg = 0.0 }\n";
    let mapping = |offset: &str| {
        format!(
            "{site}time = {{ column = \"t\", format = \"%Y-%m-%d %H:%M\", utc_offset = \"{offset}\" }}\ncolumns.T.quantity = \"temp\"\n"
        )
    };
    let mut text = "t,T\n".to_owned();
    for reading in &readings {
        let civil: DateTime = TimeZone::UTC.to_datetime(reading.time);
        text += &format!("{},{:.1}\n", civil.strftime("%Y-%m-%d %H:%M"), reading.temperature);
    }
    assert!(record(&text, Some(&mapping("+00:00"))).is_ok());
    for (offset, shift) in [("+03:00", "3 hours too early"), ("-03:00", "3 hours too late")] {
        let error = suspicions(record(&text, Some(&mapping(offset))));
        assert!(error.contains(shift), "{offset}: {error}");
    }
}

/// The same record, place and message, whether the mapping says the place or it is given beside the file.
#[test]
fn a_place_that_is_given_beside_a_file_is_held_against_the_readings_as_that_of_its_mapping() {
    let folder = Folder::new();
    let path = folder.write("record.csv", own(&weather("2024-05-01T00:00:00Z", 60, 60 * 24), plain));
    let columns = "time = { column = \"time\" }\n[columns]\nair_temperature_c.quantity = \"temp\"\n\
                   air_pressure_hpa.quantity = \"pressure\"\n";
    let read = |mapping: Option<String>, site: Option<Site>| {
        let mapping = mapping.map(|mapping| CsvMapping::parse(&mapping).unwrap());
        let source = RecordSource::new(&path, mapping).at(site);
        Record::read(&source, Grid::new(600).unwrap(), &[Quantity::AirTemperature])
    };
    let right = Site::new(50.0, 0.0).at_elevation(100.0);
    assert_eq!(read(None, Some(right)).unwrap().site(), Some(right));
    let place = |site: Site| {
        let Site { latitude_deg, longitude_deg, elevation_m } = site;
        let elevation_m = elevation_m.unwrap();
        format!(
            "{{ latitude_deg = {latitude_deg}, longitude_deg = {longitude_deg}, elevation_m = {elevation_m} }}"
        )
    };
    let [high, east] = [Site::new(50.0, 0.0).at_elevation(2000.0), Site::new(50.0, 90.0).at_elevation(100.0)];
    for (wrong, about, holds) in [
        (high, "air_pressure", "where 795 are expected at this elevation"),
        (east, "time", "about 6 hours too late"),
    ] {
        let error = suspicions(read(None, Some(wrong)));
        assert!(error.contains(about) && error.contains(holds), "{error}");
        let mapping = format!("site = {}\n{columns}", place(wrong));
        assert_eq!(suspicions(read(Some(mapping.clone()), None)), error);
        let sure = format!("sure = [{about:?}]\n{columns}");
        assert_eq!(
            read(Some(sure), Some(wrong)).unwrap().site(),
            Some(wrong),
            "a mapping says that it is right"
        );
        // What is given goes before what the mapping says.
        assert_eq!(read(Some(mapping), Some(right)).unwrap().site(), Some(right));
    }
}

#[test]
fn an_elevation_that_is_given_beside_a_file_brings_pressure_at_sea_level_to_the_station() {
    let folder = Folder::new();
    let path = folder.write("record.csv", own(&weather("2024-05-01T00:00:00Z", 60, 60), plain));
    let mapping = "elevation_m = 100\ntime = { column = \"time\" }\n[columns]\n\
                   air_temperature_c.quantity = \"temp\"\n\
                   air_pressure_hpa.quantity = \"air_pressure_at_mean_sea_level\"\n";
    let pressure = |site: Option<Site>| {
        let source = RecordSource::new(&path, Some(CsvMapping::parse(mapping).unwrap())).at(site);
        CsvReader::open_source(&source, None)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .1
            .get(Quantity::AirPressure)
            .unwrap()
    };
    let at = Site::new(50.0, 0.0);
    assert_eq!(pressure(Some(at)), pressure(None), "the mapping's elevation counts where none is given");
    // 12 hPa for 100 m, in air of some 8 °C.
    let lower_hpa = pressure(None) - pressure(Some(at.at_elevation(200.0)));
    assert!((11.0..13.0).contains(&lower_hpa), "{lower_hpa}");
}

#[test]
fn daily_values_are_said_to_be_daily() {
    let error = error_of(record("DATE,TMAX,TMIN\n2024-01-01,5,1\n", None));
    assert!(error.contains("these are daily values"), "{error}");
    let readings = weather("2024-01-01T00:00:00Z", 1440, 100);
    let error = error_of(record(&own(&readings, plain), None));
    assert!(error.contains("one reading a day"), "{error}");
}

#[test]
fn several_files_and_compressed_ones_are_one_record() {
    let folder = Folder::new();
    let readings = weather("2024-01-10T00:00:00Z", 60, 240);
    let halves = [own(&readings[..120], plain), own(&readings[120..], plain)];
    folder.write("b.csv", &halves[0]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, halves[1].as_bytes()).unwrap();
    let compressed = folder.write("a.csv.gz", encoder.finish().unwrap());
    folder.write(".hidden", "nothing");
    let whole = record_of(folder.0.path(), None).unwrap();
    assert_eq!((whole.facts().readings, whole.facts().quality.unsorted), (240, 120));
    assert_eq!(record_of(&compressed, None).unwrap().facts().readings, 120);
    assert_ne!(whole.facts().sha256, record_of(&compressed, None).unwrap().facts().sha256);
    let empty = tempfile::tempdir().unwrap();
    assert!(error_of(record_of(empty.path(), None)).contains("no file in it"));
    let zip = folder.write("c.zip", b"PK\x03\x04rest");
    assert!(error_of(record_of(&zip, None)).contains("a ZIP archive; unpack it"));
}

#[test]
#[ignore = "needs the real records: FORECASTD_DATA"]
fn real_records_are_not_suspected_of_anything() {
    let folder = std::env::var_os("FORECASTD_DATA").expect("FORECASTD_DATA names the folder of real records");
    let cambridge = "site = { latitude_deg = 52.21, longitude_deg = 0.09 }\n\
        time = { column = \"ds\", format = \"%Y-%m-%d %H:%M:%S\" }\n[columns]\n\
        y = { quantity = \"air_temperature\", unit = \"0.1 degC\" }\nhumidity.quantity = \"humidity\"\n\
        \"dew.point\" = { quantity = \"dew_point\", unit = \"0.1 degC\" }\npressure.quantity = \"pressure\"\n\
        \"wind.speed.mean\" = { quantity = \"wind_speed\", unit = \"0.1 knot\" }\n\
        \"wind.speed.max\" = { quantity = \"wind_gust\", unit = \"0.1 knot\" }\n\
        \"wind.bearing.mean\".quantity = \"wind_direction\"\n";
    for (file, mapping, readings) in [
        ("jena_2020_10min.csv", None, 52_696),
        ("jena_2009_2016_hourly.csv", None, 70_038),
        ("cambridge_2008_2020_30min.csv", Some(cambridge), 192_885),
    ] {
        let path = Path::new(&folder).join(file);
        assert_eq!(record_of(&path, mapping).unwrap().facts().readings, readings, "{file}");
    }
}
