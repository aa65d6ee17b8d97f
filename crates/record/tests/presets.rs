//! Files in the shapes that services and programs document, each with made-up values, and the readings that they are.

use std::collections::BTreeMap;

use forecastd_core::Quantity;
use forecastd_mapping::{PRESETS, PresetKind};
use forecastd_record::{CsvMapping, CsvReader, Row};

/// A file, what a mapping adds to it, and the reading of its first row by the keys of the canonical reading.
struct Case {
    preset: &'static str,
    text: &'static str,
    /// Lines of a mapping beside `preset`; without, the preset is found from the file.
    mapping: Option<&'static str>,
    time: &'static str,
    values: &'static [(&'static str, f64)],
}

const CASES: &[Case] = &[
    Case {
        preset: "jena",
        text: "\"Date Time\",\"p (mbar)\",\"T (degC)\",\"rh (%)\"\n01.01.2009 00:10:00,996.52,-8.02,93.30\n",
        mapping: None,
        time: "2008-12-31T23:10:00Z",
        values: &[
            ("air_temperature_c", -8.02),
            ("air_pressure_hpa", 996.52),
            ("relative_humidity_pct", 93.3),
        ],
    },
    Case {
        preset: "forecastd-csv",
        text: "time,air_temperature_c,wind_gust_m_s\n2024-01-10T01:00:00+01:00,1.9,3.7\n",
        mapping: None,
        time: "2024-01-10T00:00:00Z",
        values: &[("air_temperature_c", 1.9), ("wind_gust_m_s", 3.7)],
    },
    // US: 35.2 °F are 1.78 °C, 29.53 inHg are 1000.0 hPa, 8.1 mph are 3.62 m/s.
    Case {
        preset: "weewx-archive",
        text: "dateTime,usUnits,interval,barometer,pressure,outTemp,outHumidity,dewpoint,windSpeed,windDir,windGust\n\
               1704845100,1,5,30.121,29.530,35.2,84,30.9,8.1,96,12.8\n",
        mapping: None,
        time: "2024-01-10T00:05:00Z",
        values: &[
            ("air_temperature_c", 1.78),
            ("air_pressure_hpa", 1000.0),
            ("relative_humidity_pct", 84.0),
            ("dew_point_c", -0.61),
            ("wind_speed_m_s", 3.62),
            ("wind_gust_m_s", 5.72),
            ("wind_direction_deg", 96.0),
        ],
    },
    // METRIC has km/h, METRICWX m/s.
    Case {
        preset: "weewx-archive",
        text: "dateTime,usUnits,interval,pressure,outTemp,windSpeed,windDir\n1704845100,16,5,1000.0,1.8,13.0,\n",
        mapping: None,
        time: "2024-01-10T00:05:00Z",
        values: &[("air_temperature_c", 1.8), ("air_pressure_hpa", 1000.0), ("wind_speed_m_s", 3.61)],
    },
    // 43.88 °F are 6.6 °C, 6 knots are 3.09 m/s; the altimeter setting becomes the pressure at 300 m.
    Case {
        preset: "iem-metar",
        text: "station,valid,tmpf,dwpf,relh,drct,sknt,p01i,alti,mslp,gust\n\
               XYZ,2024-01-01 00:53,43.88,40.46,88.00,280.00,6.00,T,29.92,1013.2,M\n",
        mapping: Some("elevation_m = 300"),
        time: "2024-01-01T00:53:00Z",
        values: &[
            ("air_temperature_c", 6.60),
            ("dew_point_c", 4.70),
            ("relative_humidity_pct", 88.0),
            ("wind_direction_deg", 280.0),
            ("wind_speed_m_s", 3.09),
            // Standard atmosphere at 300 m: 977.7 hPa.
            ("air_pressure_hpa", 977.7),
        ],
    },
    Case {
        preset: "open-meteo",
        text: "latitude,longitude,elevation,utc_offset_seconds,timezone,timezone_abbreviation\n\
               52.52,13.41,38.0,3600,Europe/Berlin,GMT+1\n\n\
               time,temperature_2m (°C),relative_humidity_2m (%),surface_pressure (hPa),wind_speed_10m (km/h),wind_direction_10m (°)\n\
               2024-01-10T01:00,1.9,87,995.1,18.0,213\n",
        mapping: None,
        time: "2024-01-10T00:00:00Z",
        values: &[
            ("air_temperature_c", 1.9),
            ("relative_humidity_pct", 87.0),
            ("air_pressure_hpa", 995.1),
            ("wind_speed_m_s", 5.0),
            ("wind_direction_deg", 213.0),
        ],
    },
    // Asked for in other units, which the header names: 35.42 °F are 1.9 °C, 4.47 mph and 8.69 knots 2.0 and 4.47 m/s.
    Case {
        preset: "open-meteo",
        text: "latitude,longitude,elevation,utc_offset_seconds,timezone,timezone_abbreviation\n\
               52.52,13.41,38.0,0,GMT,GMT\n\n\
               time,temperature_2m (°F),wind_speed_10m (mp/h),wind_gusts_10m (kn)\n\
               2024-01-10T01:00,35.42,4.474,8.689\n",
        mapping: None,
        time: "2024-01-10T01:00:00Z",
        values: &[("air_temperature_c", 1.9), ("wind_speed_m_s", 2.0), ("wind_gust_m_s", 4.47)],
    },
    Case {
        preset: "open-meteo",
        text: "latitude,longitude,elevation,utc_offset_seconds,timezone,timezone_abbreviation\n\
               52.52,13.41,38.0,0,GMT,GMT\n\n\
               time,temperature_2m (°C),wind_speed_10m (m/s),wind_gusts_10m\n\
               2024-01-10T01:00,1.9,5.0,36.0\n",
        mapping: None,
        time: "2024-01-10T01:00:00Z",
        values: &[("air_temperature_c", 1.9), ("wind_speed_m_s", 5.0), ("wind_gust_m_s", 10.0)],
    },
    Case {
        preset: "dwd",
        text: "STATIONS_ID;MESS_DATUM;QN_9;TT_TU;RF_TU;eor\n        433;2024011000;    3;   1.9;  87.0;eor\n",
        mapping: None,
        time: "2024-01-10T00:00:00Z",
        values: &[("air_temperature_c", 1.9), ("relative_humidity_pct", 87.0)],
    },
    Case {
        preset: "dwd",
        text: "STATIONS_ID;MESS_DATUM;  QN;PP_10;TT_10;TM5_10;RF_10;TD_10;eor\n\
               433;202401100010;3;995.1;1.9;-999;87.0;-999;eor\n",
        mapping: None,
        time: "2024-01-10T00:10:00Z",
        values: &[("air_temperature_c", 1.9), ("relative_humidity_pct", 87.0), ("air_pressure_hpa", 995.1)],
    },
    Case {
        preset: "knmi",
        text: "# BRON: KONINKLIJK NEDERLANDS METEOROLOGISCH INSTITUUT (KNMI)\n\
               # T         = Temperatuur (in 0.1 graden Celsius) op 1.50 m hoogte tijdens de waarneming\n\
               #\n\
               # STN,YYYYMMDD,   HH,   DD,   FH,   FF,   FX,    T,   TD,    P,    U\n\
               #\n  \
               235,20240109,   24,  990,   90,   90,  150,   19,   -1,10104,   87\n",
        mapping: None,
        time: "2024-01-10T00:00:00Z",
        values: &[
            ("air_temperature_c", 1.9),
            ("dew_point_c", -0.1),
            ("wind_speed_m_s", 9.0),
            ("wind_gust_m_s", 15.0),
            ("relative_humidity_pct", 87.0),
        ],
    },
    Case {
        preset: "isd",
        text: "\"STATION\",\"DATE\",\"SOURCE\",\"REPORT_TYPE\",\"WND\",\"TMP\",\"DEW\",\"SLP\",\"MA1\"\n\
               \"01234099999\",\"2024-01-10T00:53:00\",\"7\",\"FM-15\",\"230,1,N,0046,1\",\"+0019,1\",\"+9999,9\",\"10208,1\",\"10190,1,09951,1\"\n",
        mapping: None,
        time: "2024-01-10T00:53:00Z",
        values: &[
            ("air_temperature_c", 1.9),
            ("wind_direction_deg", 230.0),
            ("wind_speed_m_s", 4.6),
            ("air_pressure_hpa", 995.1),
        ],
    },
    Case {
        preset: "ghcnh",
        text: "Station_ID|Station_name|Year|Month|Day|Hour|Minute|Latitude|Longitude|Elevation|temperature|dew_point_temperature|\
               station_level_pressure|sea_level_pressure|wind_direction|wind_speed|wind_gust|relative_humidity\n\
               GMM00010384|MADE UP|2024|01|10|00|20|52.5|13.4|48|1.9|-0.1|995.1||999|4.6||87\n",
        mapping: None,
        time: "2024-01-10T00:20:00Z",
        values: &[
            ("air_temperature_c", 1.9),
            ("dew_point_c", -0.1),
            ("air_pressure_hpa", 995.1),
            ("wind_speed_m_s", 4.6),
            ("relative_humidity_pct", 87.0),
        ],
    },
    Case {
        preset: "meteostat",
        text: "time,temp,dwpt,rhum,prcp,snow,wdir,wspd,wpgt,pres,tsun,coco\n\
               2024-01-10 00:00:00,1.9,-0.1,87,0.0,,213,18.0,36.0,1008.1,,3\n",
        mapping: None,
        time: "2024-01-10T00:00:00Z",
        values: &[
            ("air_temperature_c", 1.9),
            ("dew_point_c", -0.1),
            ("relative_humidity_pct", 87.0),
            ("wind_direction_deg", 213.0),
            ("wind_speed_m_s", 5.0),
            ("wind_gust_m_s", 10.0),
        ],
    },
    Case {
        preset: "meteostat-bulk",
        text: "2024-01-10,0,1.9,-0.1,87,0.0,,213,18.0,36.0,1008.1,,3\n2024-01-10,1,1.5,-0.1,88,0.0,,213,18.0,,1008.1,,3\n",
        mapping: None,
        time: "2024-01-10T00:00:00Z",
        values: &[
            ("air_temperature_c", 1.9),
            ("dew_point_c", -0.1),
            ("relative_humidity_pct", 87.0),
            ("wind_direction_deg", 213.0),
            ("wind_speed_m_s", 5.0),
            ("wind_gust_m_s", 10.0),
        ],
    },
    Case {
        preset: "netatmo",
        text: "Name;Long;Lat;ModuleName;ModuleType\nGarden;13.4;52.5;Outdoor;Outdoor\n\
               Timestamp;\"Timezone : Europe/Berlin\";Temperature;Humidity\n\
               1704845100;\"2024/01/10 01:05:00\";1.9;87\n",
        mapping: None,
        time: "2024-01-10T00:05:00Z",
        values: &[("air_temperature_c", 1.9), ("relative_humidity_pct", 87.0)],
    },
    Case {
        preset: "ecowitt-csv",
        text: "Time,Indoor Temperature(℃),Indoor Humidity(%),Outdoor Temperature(℉),Outdoor Humidity(%),Dew Point(℃),Wind(km/h),\
               Gust(m/s),Wind Direction(°),ABS Pressure(hPa),REL Pressure(hPa)\n\
               2024-07-10 02:05,21.0,40,50.0,87,4.2,18.0,7.0,213,995.1,1008.1\n",
        mapping: Some("time = { time_zone = \"Europe/Berlin\" }"),
        time: "2024-07-10T00:05:00Z",
        values: &[
            ("air_temperature_c", 10.0),
            ("relative_humidity_pct", 87.0),
            ("dew_point_c", 4.2),
            ("wind_speed_m_s", 5.0),
            ("wind_gust_m_s", 7.0),
            ("wind_direction_deg", 213.0),
            ("air_pressure_hpa", 995.1),
        ],
    },
    // 35.4 °F are 1.89 °C; -999 is missing; the pressure is reduced to sea level and the elevation is not known.
    Case {
        preset: "wunderground",
        text: "Time,TemperatureF,DewpointF,PressureIn,WindDirection,WindDirectionDegrees,WindSpeedMPH,WindSpeedGustMPH,Humidity,\
               HourlyPrecipIn,Conditions,Clouds,dailyrainin,SoftwareType,DateUTC<br>\n\
               2024-01-10 01:05:00,35.4,31.8,29.96,SSW,213,4.5,-999,87,0.00,,,0.00,made up,2024-01-10 00:05:00,\n<br>\n",
        mapping: None,
        time: "2024-01-10T00:05:00Z",
        values: &[
            ("air_temperature_c", 1.89),
            ("dew_point_c", -0.11),
            ("relative_humidity_pct", 87.0),
            ("wind_speed_m_s", 2.01),
            ("wind_direction_deg", 213.0),
        ],
    },
    Case {
        preset: "weatherlink",
        text: "\"Made-up garden\"\n\"All\"\n\"2024\"\n\n\
               \"Date & Time\",\"Barometer - hPa\",\"Temp - °F\",\"High Temp - °F\",\"Hum - %\",\"Dew Point - °F\",\"Avg Wind Speed - km/h\",\
               \"High Wind Speed - km/h\",\"Prevailing Wind Direction\"\n\
               \"1/10/24 1:05 AM\",\"1008.1\",\"50.0\",\"50.9\",\"87\",\"39.56\",\"18.0\",\"36.0\",\"SSW\"\n\
               \"1/31/24 1:05 PM\",\"1008.1\",\"35.4\",\"35.9\",\"--\",\"31.8\",\"18.0\",\"36.0\",\"--\"\n",
        mapping: Some("time = { time_zone = \"Europe/Berlin\" }"),
        time: "2024-01-10T00:05:00Z",
        values: &[
            ("air_temperature_c", 10.0),
            ("relative_humidity_pct", 87.0),
            ("dew_point_c", 4.2),
            ("wind_speed_m_s", 5.0),
            ("wind_gust_m_s", 10.0),
            ("wind_direction_deg", 202.5),
        ],
    },
    Case {
        preset: "weatherlink-text",
        text: "\t\tTemp\tHi\tLow\tOut\tDew\tWind\tWind\tHi\tHi\t\n\
               Date\tTime\tOut\tTemp\tTemp\tHum\tPt.\tSpeed\tDir\tSpeed\tDir\tBar\n\
               10/01/24\t1:05a\t1.9\t2.0\t1.8\t87\t-0.1\t18.0\tSSW\t36.0\tSW\t1008.1\n\
               31/01/24\t1:05p\t2.9\t3.0\t2.8\t---\t-0.1\t18.0\t---\t36.0\tSW\t1008.1\n",
        mapping: Some("time = { time_zone = \"Europe/Berlin\" }"),
        time: "2024-01-10T00:05:00Z",
        values: &[
            ("air_temperature_c", 1.9),
            ("relative_humidity_pct", 87.0),
            ("dew_point_c", -0.1),
            ("wind_speed_m_s", 5.0),
            ("wind_gust_m_s", 10.0),
            ("wind_direction_deg", 202.5),
        ],
    },
];

fn check(case: &Case, row: &Row) {
    let (time, values) = row;
    let preset = case.preset;
    assert_eq!(time.to_string(), case.time, "{preset}");
    let found: BTreeMap<&str, f32> = values.iter().map(|(quantity, value)| (quantity.key(), value)).collect();
    assert_eq!(found.len(), case.values.len(), "{preset}: {found:?}");
    for (key, expected) in case.values {
        let value = found.get(key).unwrap_or_else(|| panic!("{preset}: no {key}: {found:?}"));
        assert!((f64::from(*value) - expected).abs() < 0.051, "{preset}: {key} = {value}, not {expected}");
        assert!(Quantity::from_key(key).is_some_and(|quantity| quantity.is_plausible(*value)));
    }
}

#[test]
fn every_file_is_read_by_its_preset_and_found_without_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.txt");
    for case in CASES {
        std::fs::write(&path, case.text).unwrap();
        let mapping = format!("preset = {:?}\n{}\n", case.preset, case.mapping.unwrap_or_default());
        let mapping = CsvMapping::parse(&mapping).unwrap_or_else(|error| panic!("{}: {error}", case.preset));
        let named: Vec<_> = CsvReader::open(&path, Some(&mapping)).unwrap().collect();
        check(case, named[0].as_ref().unwrap());
        match (CsvReader::open(&path, None), case.mapping) {
            (Ok(reader), _) => {
                assert_eq!(reader.preset(), Some(case.preset));
                assert!(reader.quantities().any(|quantity| quantity == Quantity::AirTemperature));
            }
            // The zone is needed, and said to be.
            (Err(error), Some(_)) => {
                let error = error.to_string();
                assert!(
                    error.contains("set time_zone") && error.contains(&format!("preset = {:?}", case.preset)),
                    "{error}"
                );
            }
            (Err(error), None) => panic!("{}: {error}", case.preset),
        }
    }
    for preset in PRESETS.iter().filter(|preset| preset.kind == PresetKind::Table) {
        assert!(CASES.iter().any(|case| case.preset == preset.name), "{} has no case", preset.name);
    }
}

#[test]
fn files_of_one_station_with_other_columns_each_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("tu.txt", "STATIONS_ID;MESS_DATUM;QN_9;TT_TU;RF_TU;eor\n433;2024011000;3;1.9;87.0;eor\n");
    write("ff.txt", "STATIONS_ID;MESS_DATUM;QN_3;   F;   D;eor\n433;2024011000;3;4.6;230;eor\n");
    let reader = CsvReader::open(folder.path(), None).unwrap();
    let quantities: Vec<Quantity> = reader.quantities().collect();
    assert!(quantities.contains(&Quantity::AirTemperature) && quantities.contains(&Quantity::WindSpeed));
    assert_eq!(reader.map(Result::unwrap).count(), 2);
    let wind = CsvReader::open(&folder.path().join("ff.txt"), None).map(|_| ()).unwrap_err().to_string();
    assert!(wind.contains("no column \"TT_TU\""), "{wind}");
}
