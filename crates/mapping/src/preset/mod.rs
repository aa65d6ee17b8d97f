//! Presets: descriptions of what the programs and services of the field write, each from its documentation.

use crate::description::{Description, OneOrMany, TimeRule};
use crate::mapping::Mapping;

/// What a preset describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresetKind {
    /// Messages of MQTT.
    Payload,
    /// Files of lines and columns.
    Table,
}

/// A description that is built in, with what it is for and where its format is documented.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The name in mappings, `preset = "…"`.
    pub name: &'static str,
    /// What it describes.
    pub kind: PresetKind,
    /// What it is for, in a few words.
    pub title: &'static str,
    /// Where its shape is documented.
    pub source: &'static str,
    /// Whether its keys are found in nothing else, so that a message is known whatever its topic.
    pub(crate) is_distinctive: bool,
    text: &'static str,
}

macro_rules! preset {
    ($kind:ident, $name:literal, $distinctive:literal, $title:literal, $source:literal) => {
        Preset {
            name: $name,
            kind: PresetKind::$kind,
            title: $title,
            source: $source,
            is_distinctive: $distinctive,
            text: include_str!(concat!($name, ".toml")),
        }
    };
}

/// Every preset, the more particular first.
pub const PRESETS: &[Preset] = &[
    preset!(Payload, "forecastd", true, "readings in forecastd's own JSON", "README.md"),
    preset!(
        Payload,
        "weewx",
        true,
        "WeeWX with the extension weewx-mqtt, aggregate or single topics",
        "github.com/matthewwall/weewx-mqtt bin/user/mqtt.py 0.23"
    ),
    preset!(
        Payload,
        "rtl_433",
        true,
        "rtl_433, events",
        "github.com/merbanan/rtl_433 docs/DATA_FORMAT.md, docs/INTEGRATION.md"
    ),
    preset!(
        Payload,
        "ecowitt",
        true,
        "Ecowitt's own form, and ecowitt2mqtt",
        "github.com/bachya/ecowitt2mqtt README.md, tests/publisher/test_topic_publisher.py"
    ),
    preset!(
        Payload,
        "davis",
        true,
        "Davis WeatherLink Live, current conditions or the broadcast every 2.5 s",
        "github.com/weatherlink/weatherlink-live-local-api API.md"
    ),
    preset!(
        Payload,
        "tasmota",
        true,
        "Tasmota, SENSOR of tele",
        "github.com/arendst/Tasmota tasmota/tasmota_xsns_sensor/xsns_09_bmp.ino"
    ),
    preset!(
        Payload,
        "shelly",
        false,
        "Shelly H&T, first to third generation",
        "shelly-api-docs.shelly.cloud/gen1 (Shelly H&T: MQTT) and /gen2 (Temperature, Humidity, NotifyFullStatus)"
    ),
    preset!(
        Payload,
        "zigbee2mqtt",
        false,
        "Zigbee2MQTT",
        "github.com/Koenkk/zigbee2mqtt.io docs/devices/WSDCGQ11LM.md"
    ),
    preset!(Payload, "esphome", false, "ESPHome, one value a topic", "esphome.io/components/mqtt"),
    preset!(
        Payload,
        "statestream",
        false,
        "Home Assistant's MQTT Statestream, one value a topic",
        "github.com/home-assistant/home-assistant.io source/_integrations/mqtt_statestream.markdown"
    ),
    preset!(
        Table,
        "jena",
        false,
        "the Jena climate data set",
        "bgc-jena.mpg.de/wetter (Max Planck Institute for Biogeochemistry)"
    ),
    preset!(Table, "forecastd-csv", false, "readings in forecastd's own columns", "README.md"),
    preset!(
        Table,
        "weewx-archive",
        false,
        "WeeWX' table archive as CSV",
        "weewx.com/docs (wview_extended schema, units of US, METRIC and METRICWX)"
    ),
    preset!(
        Table,
        "iem-metar",
        false,
        "METAR of the Iowa Environmental Mesonet",
        "mesonet.agron.iastate.edu/request/download.phtml"
    ),
    preset!(Table, "open-meteo", false, "Open-Meteo, hourly", "open-meteo.com/en/docs (format=csv)"),
    preset!(
        Table,
        "dwd",
        false,
        "Deutscher Wetterdienst, hourly and 10 minutes",
        "opendata.dwd.de/climate_environment/CDC (DESCRIPTION_obsgermany)"
    ),
    preset!(Table, "knmi", false, "KNMI, hourly", "daggegevens.knmi.nl (legend of the hourly files)"),
    preset!(
        Table,
        "isd",
        false,
        "Integrated Surface Database (NOAA, global hourly)",
        "ncei.noaa.gov/data/global-hourly/doc/isd-format-document.pdf"
    ),
    preset!(
        Table,
        "ghcnh",
        false,
        "Global Historical Climatology Network hourly (NOAA)",
        "ncei.noaa.gov/products/global-historical-climatology-network-hourly"
    ),
    preset!(Table, "meteostat", false, "Meteostat, with header", "dev.meteostat.net (hourly)"),
    preset!(
        Table,
        "meteostat-bulk",
        false,
        "Meteostat, bulk without header",
        "dev.meteostat.net/bulk/hourly.html"
    ),
    preset!(Table, "netatmo", false, "Netatmo, export of a module", "helpcenter.netatmo.com (export to CSV)"),
    preset!(
        Table,
        "ecowitt-csv",
        false,
        "Ecowitt, export of a console or of ecowitt.net",
        "github.com/cumulusmx/CumulusMX EcowittLogFile.cs (headers of the log files)"
    ),
    preset!(
        Table,
        "wunderground",
        false,
        "Weather Underground, day history of a station",
        "wunderground.com WXDailyHistory (format=1)"
    ),
    preset!(
        Table,
        "weatherlink",
        false,
        "WeatherLink.com, export",
        "support.davisinstruments.com (WeatherLink data export)"
    ),
    preset!(
        Table,
        "weatherlink-text",
        false,
        "WeatherLink for Windows, export as text with two header rows",
        "support.davisinstruments.com (WeatherLink software, export records)"
    ),
];

/// The preset of a name, or why there is none.
pub(crate) fn description(name: &str) -> Result<Description, String> {
    let preset = PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let near = crate::names::nearest(name, PRESETS.iter().map(|preset| (preset.name, preset.name)));
        let all: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        match near.first() {
            Some(near) => format!("unknown preset {name:?}; did you mean {near:?}?"),
            None => format!("unknown preset {name:?}; one of {}", all.join(", ")),
        }
    })?;
    Description::parse(preset.text).map_err(|fault| format!("preset {name:?}: {fault}"))
}

impl Preset {
    /// The preset as a mapping, with `time_zone` for times without offset.
    ///
    /// # Errors
    /// When the times are those of the station's own clock and no zone is given, or one that is none.
    pub fn mapping(&self, time_zone: Option<&str>) -> Result<Mapping, crate::MappingError> {
        let time = time_zone
            .map(|zone| OneOrMany::One(TimeRule { time_zone: Some(zone.to_owned()), ..TimeRule::default() }));
        Mapping::new(&Description { preset: Some(self.name.to_owned()), time, ..Description::default() })
    }

    /// Whether the times of its messages may be those of the station's own clock, without offset: counts from 1970 have no
    /// zone, and Ecowitt's are in UTC.
    pub fn has_local_times(&self) -> bool {
        matches!(self.name, "tasmota" | "rtl_433" | "zigbee2mqtt")
    }

    /// The preset's description, as TOML.
    pub fn text(&self) -> &'static str {
        self.text
    }
}

/// Lays a description over the preset that it starts from.
pub(crate) fn over(base: Description, top: &Description) -> Description {
    let top = top.clone();
    let time = match (base.time, top.time) {
        (base, None) => base,
        (None, top) => top,
        // A zone alone is that of the preset's times.
        (Some(base), Some(top)) => match top.as_slice() {
            [TimeRule { column: None, at: None, format: None, utc_offset, time_zone }] => {
                let mut rules = base.as_slice().to_vec();
                for rule in &mut rules {
                    rule.utc_offset.clone_from(utc_offset);
                    rule.time_zone.clone_from(time_zone);
                }
                Some(OneOrMany::Many(rules))
            }
            _ => Some(top),
        },
    };
    let mut only = base.only;
    only.extend(top.only);
    let mut columns = base.columns;
    columns.extend(top.columns);
    Description {
        preset: top.preset,
        topic: top.topic.or(base.topic),
        station: top.station.or(base.station),
        site: top.site.or(base.site),
        place: top.place.or(base.place),
        elevation_m: top.elevation_m.or(base.elevation_m),
        time,
        missing: [top.missing, base.missing].concat(),
        only,
        columns,
        values: [top.values, base.values].concat(),
        merge: top.merge.or(base.merge),
        sure: [top.sure, base.sure].concat(),
        table: crate::TableRule {
            skip_lines: top.table.skip_lines.or(base.table.skip_lines),
            header_rows: top.table.header_rows.or(base.table.header_rows),
            delimiter: top.table.delimiter.or(base.table.delimiter),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_mapping_and_names_the_temperature() {
        for preset in PRESETS {
            let mapping = preset.mapping(Some("Europe/Berlin")).or_else(|_| preset.mapping(None));
            let mapping = mapping.unwrap_or_else(|error| panic!("{}: {error}", preset.name));
            assert!(
                mapping.quantities().contains(&forecastd_core::Quantity::AirTemperature),
                "{}",
                preset.name
            );
            assert_eq!(mapping.name(), Some(preset.name));
            assert!(!preset.source.is_empty() && !preset.title.is_empty());
        }
    }

    #[test]
    fn an_unknown_preset_gets_the_nearest() {
        assert!(description("wewx").unwrap_err().ends_with("did you mean \"weewx\"?"));
        assert!(description("qqq").unwrap_err().contains("one of forecastd, weewx"));
    }

    #[test]
    fn of_single_values_those_outdoors_come_first_and_those_of_things_are_none() {
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        for (preset, base) in [("esphome", "node"), ("statestream", "ha")] {
            let mapping = Mapping::parse(&format!("preset = {preset:?}")).unwrap();
            let rank = |name: &str| {
                let topic = format!("{base}/sensor/{name}/state");
                let message = crate::Message { topic: &topic, payload: b"7.2", arrival };
                mapping.decode(&message).ok().map(|decoded| decoded.topic_rank.unwrap())
            };
            for (first, second) in [
                ("outdoor_temperature", "shed_temperature"),
                ("temp_outside", "shed_temp"),
                ("garden_humidity", "humidity"),
                ("pressure", "sea_level_pressure"),
            ] {
                assert!(
                    rank(first).unwrap() < rank(second).unwrap_or(usize::MAX),
                    "{preset}: {first}, {second}"
                );
            }
            for name in [
                "fridge_temp",
                "refrigerator_temperature",
                "pool_temp",
                "battery_temperature",
                "temperature_target",
                "template_version",
                "attempts",
                "outdoor_cpu_temperature",
                "living_room_temperature",
                "bathroom_humidity",
            ] {
                assert_eq!(rank(name), None, "{preset}: {name}");
            }
        }
    }

    #[test]
    fn what_a_source_names_itself_comes_before_what_its_preset_names() {
        let mapping = Mapping::parse(
            "preset = \"statestream\"\n[[value]]\ntopic = \"ha/sensor/shed_temperature/state\"\n\
             quantity = \"air_temperature\"\nunit = \"degC\"\n",
        )
        .unwrap();
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let rank = |topic: &str| {
            mapping.decode(&crate::Message { topic, payload: b"7.2", arrival }).unwrap().topic_rank
        };
        assert!(rank("ha/sensor/shed_temperature/state") < rank("ha/sensor/outdoor_temperature/state"));
    }

    #[test]
    fn what_stands_beside_a_preset_goes_before_it() {
        let mapping = Mapping::parse(
            "preset = \"tasmota\"\ntopic = \"x/{station}/y\"\nstation = \"roof\"\ntime = { time_zone = \"UTC\" }\n\
             [[value]]\nat = \"/Mine/T\"\nquantity = \"air_temperature\"\n",
        )
        .unwrap();
        assert_eq!(mapping.filters(), ["x/+/y"]);
        assert_eq!(mapping.station(), Some("roof"));
        assert!(mapping.times.iter().all(|time| time.zone.is_some() && !time.at.is_empty()));
        assert!(mapping.values.len() > 3);
    }
}
