//! The JSON of the status and verification topics.

use forecastd_core::{
    BelowTotals, DayScores, ExtremeTotals, LeadScores, Place, ROLLING_DAYS, Readiness, Scores, Standing,
    StationName, StationState,
};
use jiff::Timestamp;
use serde::Serialize;

use super::api::ScoreRow;
use super::{thousandths, whole};

#[derive(Serialize)]
struct Status<'a> {
    station: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_hours: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_distance_km: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_reading: Option<String>,
    place: Where,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    odd: &'a [&'static str],
    model: &'a str,
}

/// Where the station stands, and how well that is known: `given`, `payload`, `time_zone`, `country` or `missing`.
#[derive(Serialize)]
struct Where {
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude_deg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude_deg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elevation_m: Option<f64>,
    precision: &'static str,
}

impl From<Option<Place>> for Where {
    fn from(place: Option<Place>) -> Where {
        Where {
            latitude_deg: place.map(|place| place.site.latitude_deg),
            longitude_deg: place.map(|place| place.site.longitude_deg),
            elevation_m: place.and_then(|place| place.site.elevation_m),
            precision: place.map_or("missing", |place| place.precision.name()),
        }
    }
}

/// How much history is still missing, in hours to a tenth; `None` when the window is complete.
pub fn missing_hours(readiness: Readiness) -> Option<f64> {
    match readiness {
        Readiness::WarmingUp(missing) => Some((missing.remaining.as_secs_f64() / 360.0).ceil() / 10.0),
        Readiness::Silent | Readiness::Ready | Readiness::NoPlace | Readiness::Elsewhere(_) => None,
    }
}

/// How a station is, as payloads and metrics tell it; in this order where all are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum StateName {
    Ready,
    WarmingUp,
    Stale,
    Silent,
    NoPlace,
    Elsewhere,
}

/// Every word for a state.
pub const STATE_NAMES: &[&str] = <StateName as strum::VariantNames>::VARIANTS;

/// The word for a state in payloads and logs.
pub fn state_name(state: StationState) -> &'static str {
    let name = match state {
        StationState::Stale => StateName::Stale,
        StationState::Fresh(Readiness::Silent) => StateName::Silent,
        StationState::Fresh(Readiness::WarmingUp(_)) => StateName::WarmingUp,
        StationState::Fresh(Readiness::Ready) => StateName::Ready,
        StationState::Fresh(Readiness::NoPlace) => StateName::NoPlace,
        StationState::Fresh(Readiness::Elsewhere(_)) => StateName::Elsewhere,
    };
    name.into()
}

/// How a station is: whether it is ready, and if not, what is missing; and what is odd about it.
pub fn encode_status(
    station: &StationName,
    state: StationState,
    newest_reading: Option<Timestamp>,
    place: Option<Place>,
    model_distance_km: Option<u32>,
    odd: &[&'static str],
    model: &str,
) -> String {
    let readiness = match state {
        StationState::Fresh(readiness) => Some(readiness),
        StationState::Stale => None,
    };
    let status = Status {
        station: station.as_str(),
        state: state_name(state),
        missing_hours: readiness.and_then(missing_hours),
        missing: match readiness {
            Some(Readiness::WarmingUp(missing)) => Some(missing.quantity.name().to_owned()),
            _ => None,
        },
        model_distance_km,
        newest_reading: newest_reading.map(|time| time.to_string()),
        place: place.into(),
        odd,
        model,
    };
    serde_json::to_string(&status).expect("strings and finite numbers are JSON")
}

#[derive(Serialize)]
struct Verification<'a> {
    station: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_until: Option<String>,
    rolling_days: i64,
    leads: Vec<Lead>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experts: Vec<Expert<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day_ahead: Option<Days>,
}

/// How good what was said of the days ahead has been, beside the station's own last days.
#[derive(Serialize)]
struct Days {
    forecasts: u64,
    lowest: ExtremeScores,
    highest: ExtremeScores,
    below: Vec<BelowScores>,
}

#[derive(Serialize)]
struct ExtremeScores {
    mae_c: Option<f64>,
    pinball_c: Option<f64>,
    own_days_pinball_c: Option<f64>,
    coverage: Option<f64>,
    lifetime_pinball_c: Option<f64>,
    lifetime_own_days_pinball_c: Option<f64>,
}

#[derive(Serialize)]
struct BelowScores {
    threshold_c: f64,
    frequency: Option<f64>,
    brier_score: Option<f64>,
    own_days_brier_score: Option<f64>,
    lifetime_brier_score: Option<f64>,
    lifetime_own_days_brier_score: Option<f64>,
}

/// An expert, at every third lead and the first.
#[derive(Serialize)]
struct Expert<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asleep: bool,
    leads: Vec<ExpertLead>,
}

#[derive(Serialize)]
struct ExpertLead {
    lead_h: u32,
    weight: f64,
    mae_c: Option<f64>,
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
    lifetime_mae_c: Option<f64>,
    lifetime_skill: Option<f64>,
}

/// How good a station's forecasts have been, by lead: `forecasts` counts all that were ever scored, and what begins with
/// `lifetime` is over all of them; the rest is rolling, each score weighing exp(−age / `rolling_days`). Then how the experts
/// stand that the forecasts are made of: how much each counts, of 1, and its own mean absolute error over 30 days. Then how good
/// what was said of the day ahead has been: pinball losses and Brier scores, of what was said and of what the station's own
/// last days (`own_days`) let expect.
pub fn encode_verification(
    station: &StationName,
    model: &str,
    scores: &Scores,
    experts: &[Standing],
    day_ahead: Option<&DayScores>,
) -> String {
    let leads = scores.leads().map(|(lead_h, scores)| lead(lead_h, scores)).collect();
    let verification = Verification {
        station: station.as_str(),
        model,
        verified_until: scores.newest().map(|newest| newest.to_string()),
        rolling_days: ROLLING_DAYS,
        leads,
        experts: experts.iter().map(expert).collect(),
        day_ahead: day_ahead.map(days),
    };
    serde_json::to_string(&verification).expect("strings and finite numbers are JSON")
}

fn days(scores: &DayScores) -> Days {
    let DayScores { lifetime, rolling, .. } = scores;
    let extreme = |rolling: &ExtremeTotals, lifetime: &ExtremeTotals| ExtremeScores {
        mae_c: rolling.mae_c().map(thousandths),
        pinball_c: rolling.pinball_c().map(thousandths),
        own_days_pinball_c: rolling.reference_pinball_c().map(thousandths),
        coverage: rolling.coverage().map(thousandths),
        lifetime_pinball_c: lifetime.pinball_c().map(thousandths),
        lifetime_own_days_pinball_c: lifetime.reference_pinball_c().map(thousandths),
    };
    let below = rolling.below.iter().map(|rolling| {
        let lifetime = lifetime.below.iter().find(|own| own.threshold_c() == rolling.threshold_c());
        BelowScores {
            threshold_c: (f64::from(rolling.threshold_c()) * 100.0).round() / 100.0,
            frequency: rolling.frequency().map(thousandths),
            brier_score: rolling.brier_score().map(thousandths),
            own_days_brier_score: rolling.reference_brier_score().map(thousandths),
            lifetime_brier_score: lifetime.and_then(BelowTotals::brier_score).map(thousandths),
            lifetime_own_days_brier_score: lifetime
                .and_then(BelowTotals::reference_brier_score)
                .map(thousandths),
        }
    });
    Days {
        forecasts: whole(lifetime.lowest.weight),
        lowest: extreme(&rolling.lowest, &lifetime.lowest),
        highest: extreme(&rolling.highest, &lifetime.highest),
        below: below.collect(),
    }
}

fn expert(standing: &Standing) -> Expert<'_> {
    let shown = standing.leads.iter().filter(|lead| lead.lead_h == 1 || lead.lead_h.is_multiple_of(3));
    let leads = shown.map(|lead| ExpertLead {
        lead_h: lead.lead_h,
        weight: thousandths(f64::from(lead.weight)),
        mae_c: lead.mae_c.map(|mae_c| thousandths(f64::from(mae_c))),
    });
    Expert { name: &standing.name, asleep: standing.is_asleep, leads: leads.collect() }
}

fn lead(lead_h: u32, scores: &LeadScores) -> Lead {
    let ScoreRow {
        lead_h,
        forecasts,
        mae_c,
        rmse_c,
        bias_c,
        persistence_mae_c,
        yesterday_mae_c,
        skill,
        coverage,
    } = ScoreRow::new(lead_h, scores);
    Lead {
        lead_h,
        forecasts,
        mae_c,
        rmse_c,
        bias_c,
        persistence_mae_c,
        yesterday_mae_c,
        skill,
        coverage,
        lifetime_mae_c: scores.lifetime.mae().map(thousandths),
        lifetime_skill: scores.lifetime.skill().map(thousandths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reviewed;
    use forecastd_core::{Below, DayAhead, DayVerification, Extreme, LeadStanding, Missing, Quantity, Score};
    use jiff::SignedDuration;

    #[test]
    fn every_state_has_its_word_in_the_list_and_no_other() {
        let missing = Missing { remaining: SignedDuration::ZERO, quantity: Quantity::AirTemperature };
        let readiness = [
            Readiness::Silent,
            Readiness::WarmingUp(missing),
            Readiness::Ready,
            Readiness::NoPlace,
            Readiness::Elsewhere(51),
        ];
        let states = readiness.map(StationState::Fresh).into_iter().chain([StationState::Stale]);
        let mut words: Vec<&str> = states.map(state_name).collect();
        let mut listed = STATE_NAMES.to_vec();
        words.sort_unstable();
        listed.sort_unstable();
        assert_eq!(words, listed);
    }

    #[test]
    fn a_warm_up_says_what_is_missing_and_for_how_long() {
        let missing =
            Missing { remaining: SignedDuration::from_mins(95), quantity: Quantity::RelativeHumidity };
        let station = StationName::new("roof").unwrap();
        let state = StationState::Fresh(Readiness::WarmingUp(missing));
        let place = Place::of_time_zone("America/Denver").unwrap();
        let time = Some(Timestamp::UNIX_EPOCH);
        reviewed(
            "payload_status",
            &encode_status(&station, state, time, Some(place), Some(8390), &[], "jena@0"),
        );
        assert_eq!(
            encode_status(&station, state, None, None, None, &[], "jena@0"),
            concat!(
                r#"{"station":"roof","state":"warming_up","missing_hours":1.6,"missing":"relative_humidity","#,
                r#""place":{"precision":"missing"},"model":"jena@0"}"#
            )
        );
        assert_eq!(
            encode_status(
                &station,
                StationState::Stale,
                Some(Timestamp::UNIX_EPOCH),
                Some(place),
                Some(8390),
                &["clock"],
                "jena@0"
            ),
            concat!(
                r#"{"station":"roof","state":"stale","model_distance_km":8390,"newest_reading":"1970-01-01T00:00:00Z","#,
                r#""place":{"latitude_deg":39.74,"longitude_deg":-104.98,"precision":"time_zone"},"odd":["clock"],"#,
                r#""model":"jena@0"}"#
            )
        );
    }

    #[test]
    fn verification_says_the_rolling_scores_and_the_lifetime_ones() {
        let mut scores = Scores::default();
        scores.add(&Score {
            lead_h: 24,
            valid_at: Timestamp::UNIX_EPOCH,
            observed_c: 2.0,
            model_c: 3.0,
            within_interval: Some(true),
            persistence_c: 6.0,
            yesterday_c: None,
        });
        let station = StationName::new("roof").unwrap();
        let lead = LeadStanding { lead_h: 24, weight: 0.25, mae_c: None };
        let standing = Standing { name: "persistence".to_owned(), is_asleep: false, leads: vec![lead] };
        let payload = encode_verification(&station, "jena@0", &scores, &[standing], None);
        reviewed("payload_verification", &payload);
        assert_eq!(
            payload,
            concat!(
                r#"{"station":"roof","model":"jena@0","verified_until":"1970-01-01T00:00:00Z","rolling_days":30,"#,
                r#""leads":[{"lead_h":24,"forecasts":1,"mae_c":1.0,"rmse_c":1.0,"bias_c":1.0,"#,
                r#""persistence_mae_c":4.0,"yesterday_mae_c":null,"skill":0.75,"coverage":1.0,"#,
                r#""lifetime_mae_c":1.0,"lifetime_skill":0.75}],"#,
                r#""experts":[{"name":"persistence","leads":[{"lead_h":24,"weight":0.25,"mae_c":null}]}]}"#
            )
        );
    }

    #[test]
    fn verification_says_how_good_the_days_ahead_were_beside_the_stations_own_last_days() {
        let extreme = Extreme {
            temperature_c: 1.0,
            interval_c: (0.0, 2.0),
            quantiles_c: Some([-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5]),
        };
        let day = DayAhead {
            hours: 24,
            lowest: extreme,
            highest: extreme,
            below: vec![Below { threshold_c: 0.0, probability: 0.25 }],
        };
        let mut days = DayVerification::default();
        // One day is scored: the first that begins when five are over.
        for hour in 0..6 * 24 + 2 {
            let origin = Timestamp::from_second(hour * 3600).unwrap();
            days.learn_until(origin, |_| Some(1.0));
            days.issued(origin, &day);
        }
        let station = StationName::new("roof").unwrap();
        let payload = encode_verification(&station, "m@0", &Scores::default(), &[], Some(days.scores()));
        // 2·(0.05·1.5 + 0.1·1 + 0.25·0.5)/7 = 0.0857; 0.25² = 0.0625; (0.5/6)² = 0.0069.
        let extreme = concat!(
            r#"{"mae_c":0.0,"pinball_c":0.086,"own_days_pinball_c":0.0,"coverage":1.0,"#,
            r#""lifetime_pinball_c":0.086,"lifetime_own_days_pinball_c":0.0}"#
        );
        let expected = format!(
            concat!(
                r#""leads":[],"day_ahead":{{"forecasts":1,"lowest":{0},"highest":{0},"below":[{{"threshold_c":0.0,"#,
                r#""frequency":0.0,"brier_score":0.063,"own_days_brier_score":0.007,"#,
                r#""lifetime_brier_score":0.063,"lifetime_own_days_brier_score":0.007}}]}}}}"#
            ),
            extreme
        );
        assert!(payload.ends_with(&expected), "{payload}");
    }
}
