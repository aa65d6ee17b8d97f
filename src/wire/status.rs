//! The JSON of the status and verification topics.

use jiff::Timestamp;
use serde::Serialize;

use forecastd_core::Readiness;
use forecastd_core::StationName;
use forecastd_core::Totals;

#[derive(Serialize)]
struct Status<'a> {
    station: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_hours: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_reading: Option<String>,
    model: &'a str,
}

/// How much history is still missing, in hours to a tenth; `None` when the window is complete.
pub fn missing_hours(readiness: Readiness) -> Option<f64> {
    match readiness {
        Readiness::WarmingUp(missing) => Some((missing.remaining.as_secs_f64() / 360.0).ceil() / 10.0),
        Readiness::Silent | Readiness::Ready => None,
    }
}

/// Whether a station is ready, and if not, what is missing.
pub fn status(
    station: &StationName,
    readiness: Readiness,
    newest_reading: Option<Timestamp>,
    model: &str,
) -> String {
    let status = Status {
        station: station.as_str(),
        state: match readiness {
            Readiness::Silent => "silent",
            Readiness::WarmingUp(_) => "warming_up",
            Readiness::Ready => "ready",
        },
        missing_hours: missing_hours(readiness),
        missing: match readiness {
            Readiness::WarmingUp(missing) => Some(missing.quantity.name().to_owned()),
            Readiness::Silent | Readiness::Ready => None,
        },
        newest_reading: newest_reading.map(|time| time.to_string()),
        model,
    };
    serde_json::to_string(&status).expect("strings and finite numbers are JSON")
}

#[derive(Serialize)]
struct Verification<'a> {
    station: &'a str,
    model: &'a str,
    verified_until: String,
    leads: Vec<Lead>,
}

#[derive(Serialize)]
struct Lead {
    lead_h: u32,
    forecasts: u64,
    mae_c: Option<f64>,
    rmse_c: Option<f64>,
    bias_c: Option<f64>,
    persistence_mae_c: Option<f64>,
    yesterday_mae_c: Option<f64>,
    skill: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<f64>,
}

/// How good a station's forecasts were since the daemon started, by lead.
pub fn verification(
    station: &StationName,
    model: &str,
    verified_until: Timestamp,
    totals: &Totals,
) -> String {
    let thousandths = |value: f64| (value * 1000.0).round() / 1000.0;
    let leads = totals
        .leads()
        .map(|(lead_h, lead)| Lead {
            lead_h,
            forecasts: lead.count,
            mae_c: lead.mae().map(thousandths),
            rmse_c: lead.rmse().map(thousandths),
            bias_c: lead.bias().map(thousandths),
            persistence_mae_c: lead.persistence_mae().map(thousandths),
            yesterday_mae_c: lead.yesterday_mae().map(thousandths),
            skill: lead.skill().map(thousandths),
            coverage: lead.coverage().map(thousandths),
        })
        .collect();
    let verification =
        Verification { station: station.as_str(), model, verified_until: verified_until.to_string(), leads };
    serde_json::to_string(&verification).expect("strings and finite numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Missing;
    use forecastd_core::Quantity;
    use jiff::SignedDuration;

    #[test]
    fn a_warm_up_says_what_is_missing_and_for_how_long() {
        let missing =
            Missing { remaining: SignedDuration::from_mins(95), quantity: Quantity::RelativeHumidity };
        let station = StationName::new("roof").unwrap();
        let payload = status(&station, Readiness::WarmingUp(missing), None, "jena@0");
        assert_eq!(
            payload,
            r#"{"station":"roof","state":"warming_up","missing_hours":1.6,"missing":"relative_humidity","model":"jena@0"}"#
        );
    }
}
