//! The JSON payload of a forecast.

use serde::Serialize;

use forecastd_core::{Below, DayAhead, Forecast, QUANTILES};

/// The quantiles of [`QUANTILES`], rising, °C, rounded to centidegrees.
type Quantiles = [f64; QUANTILES.len()];

#[derive(Serialize)]
struct Payload<'a> {
    station: &'a str,
    issued_at: String,
    model: &'a str,
    source: &'static str,
    temperature_c: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_24h_c: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// The probabilities of the numbers in every `quantiles_c`, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantiles: Option<[f64; QUANTILES.len()]>,
    leads: Vec<Lead>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day_ahead: Option<Day>,
}

/// The lowest and the highest temperature of the hours ahead, and how likely it becomes colder than a threshold.
#[derive(Serialize)]
struct Day {
    hours: u32,
    lowest_c: f64,
    lowest_low_c: f64,
    lowest_high_c: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lowest_quantiles_c: Option<Quantiles>,
    highest_c: f64,
    highest_low_c: f64,
    highest_high_c: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    highest_quantiles_c: Option<Quantiles>,
    frost_probability: Option<f64>,
    below: Vec<Threshold>,
}

#[derive(Serialize)]
struct Threshold {
    threshold_c: f64,
    probability: f64,
}

impl From<&DayAhead> for Day {
    fn from(day: &DayAhead) -> Day {
        let probability = |below: &Below| (f64::from(below.probability) * 1000.0).round() / 1000.0;
        let frost = day.below.iter().find(|below| below.threshold_c == 0.0);
        let others = day.below.iter().filter(|below| below.threshold_c != 0.0);
        Day {
            hours: day.hours,
            lowest_c: round_to_centidegrees(day.lowest.temperature_c),
            lowest_low_c: round_to_centidegrees(day.lowest.interval_c.0),
            lowest_high_c: round_to_centidegrees(day.lowest.interval_c.1),
            lowest_quantiles_c: day.lowest.quantiles_c.map(|own| own.map(round_to_centidegrees)),
            highest_c: round_to_centidegrees(day.highest.temperature_c),
            highest_low_c: round_to_centidegrees(day.highest.interval_c.0),
            highest_high_c: round_to_centidegrees(day.highest.interval_c.1),
            highest_quantiles_c: day.highest.quantiles_c.map(|own| own.map(round_to_centidegrees)),
            frost_probability: frost.map(probability),
            below: others
                .map(|below| Threshold {
                    threshold_c: round_to_centidegrees(below.threshold_c),
                    probability: probability(below),
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Lead {
    lead_h: u32,
    valid_at: String,
    temperature_c: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    low_c: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high_c: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantiles_c: Option<Quantiles>,
}

/// Writes a forecast as JSON, temperatures to a hundredth of a degree. A forecast is stale when its station has been silent
/// since, for too long.
pub fn encode(forecast: &Forecast, is_stale: bool) -> String {
    let leads = forecast
        .leads
        .iter()
        .map(|lead| Lead {
            lead_h: lead.lead_h,
            valid_at: lead.valid_at.to_string(),
            temperature_c: round_to_centidegrees(lead.temperature_c),
            low_c: lead.interval_c.map(|(low, _)| round_to_centidegrees(low)),
            high_c: lead.interval_c.map(|(_, high)| round_to_centidegrees(high)),
            quantiles_c: lead.quantiles_c.map(|own| own.map(round_to_centidegrees)),
        })
        .collect();
    let has_quantiles = forecast.leads.iter().any(|lead| lead.quantiles_c.is_some());
    let payload = Payload {
        station: forecast.station.as_str(),
        issued_at: forecast.issued_at.to_string(),
        model: &forecast.model,
        source: forecast.source.name(),
        temperature_c: round_to_centidegrees(forecast.temperature_c),
        temperature_24h_c: forecast.at(24).map(|lead| round_to_centidegrees(lead.temperature_c)),
        stale: is_stale,
        quantiles: has_quantiles.then(|| QUANTILES.map(round_to_centidegrees)),
        leads,
        day_ahead: forecast.day_ahead.as_ref().map(Day::from),
    };
    serde_json::to_string(&payload).expect("strings and finite numbers are JSON")
}

/// A temperature to a hundredth of a degree, without a negative zero.
pub(crate) fn round_to_centidegrees(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0 + 0.0
}

#[cfg(test)]
mod tests {
    use crate::wire::reviewed;
    use forecastd_core::StationName;
    use forecastd_core::{Forecast, LeadForecast, Source};

    #[test]
    fn the_payload_is_the_one_of_the_contract() {
        let lead = |lead_h: u32, valid_at: &str, temperature_c, interval_c| LeadForecast {
            lead_h,
            valid_at: valid_at.parse().unwrap(),
            temperature_c,
            interval_c,
            quantiles_c: None,
        };
        let forecast = Forecast {
            station: StationName::new("jena").unwrap(),
            issued_at: "2020-01-01T00:10:00Z".parse().unwrap(),
            origin: "2020-01-01T00:10:00Z".parse().unwrap(),
            temperature_c: -0.001,
            model: "jena@01234567".to_owned(),
            source: Source::Model,
            leads: vec![
                lead(1, "2020-01-01T01:10:00Z", 0.714, Some((-0.2, 1.6))),
                lead(24, "2020-01-02T00:10:00Z", 3.1, None),
            ],
            day_ahead: None,
        };
        assert_eq!(
            super::encode(&forecast, false),
            concat!(
                r#"{"station":"jena","issued_at":"2020-01-01T00:10:00Z","model":"jena@01234567","#,
                r#""source":"model","temperature_c":0.0,"temperature_24h_c":3.1,"leads":["#,
                r#"{"lead_h":1,"valid_at":"2020-01-01T01:10:00Z","temperature_c":0.71,"low_c":-0.2,"high_c":1.6},"#,
                r#"{"lead_h":24,"valid_at":"2020-01-02T00:10:00Z","temperature_c":3.1}]}"#
            )
        );
        let extreme = |temperature_c: f32| forecastd_core::Extreme {
            temperature_c,
            interval_c: (temperature_c - 1.5, temperature_c + 2.0),
            quantiles_c: None,
        };
        let below = |threshold_c, probability| forecastd_core::Below { threshold_c, probability };
        let with_extremes = Forecast {
            day_ahead: Some(forecastd_core::DayAhead {
                hours: 24,
                lowest: extreme(-2.0),
                highest: extreme(5.5),
                below: vec![below(0.0, 0.875), below(2.0, 0.99)],
            }),
            ..forecast.clone()
        };
        let payload = super::encode(&with_extremes, false);
        let expected = concat!(
            r#","day_ahead":{"hours":24,"lowest_c":-2.0,"lowest_low_c":-3.5,"lowest_high_c":0.0,"highest_c":5.5,"#,
            r#""highest_low_c":4.0,"highest_high_c":7.5,"frost_probability":0.875,"#,
            r#""below":[{"threshold_c":2.0,"probability":0.99}]}}"#
        );
        assert!(payload.ends_with(expected), "{payload}");
        let mut with_quantiles = with_extremes;
        with_quantiles.leads[0].quantiles_c = Some([-0.7, -0.2, 0.3, 0.71, 1.1, 1.6, 2.0]);
        with_quantiles.day_ahead.as_mut().unwrap().highest.quantiles_c =
            Some([3.5, 4.0, 5.0, 5.5, 6.0, 7.5, -0.001]);
        let payload = super::encode(&with_quantiles, false);
        reviewed("payload_forecast", &super::encode(&with_quantiles, true));
        for expected in [
            r#""temperature_24h_c":3.1,"quantiles":[0.05,0.1,0.25,0.5,0.75,0.9,0.95],"leads":["#,
            r#""high_c":1.6,"quantiles_c":[-0.7,-0.2,0.3,0.71,1.1,1.6,2.0]},{"lead_h":24,"#,
            r#","highest_high_c":7.5,"highest_quantiles_c":[3.5,4.0,5.0,5.5,6.0,7.5,0.0],"frost_probability""#,
        ] {
            assert!(payload.contains(expected), "{payload}");
        }
        let stale = super::encode(&forecast, true);
        assert!(stale.contains(r#""temperature_24h_c":3.1,"stale":true,"leads""#), "{stale}");
    }
}
