//! The series that every station has of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use forecastd_core::{Forecast, Standing, StationName};
use jiff::Timestamp;
use prometheus::GaugeVec;

use super::{HISTOGRAM_LEADS_H, Maker, Metrics, lock};
use crate::wire::api::decimal;
use crate::wire::status::STATE_NAMES;

/// The series that every station has of its own.
pub(super) struct StationSeries {
    last_reading: GaugeVec,
    temperature: GaugeVec,
    forecast_temperature: GaugeVec,
    forecast_valid: GaugeVec,
    forecast_low: GaugeVec,
    forecast_high: GaugeVec,
    forecast_lowest: GaugeVec,
    forecast_highest: GaugeVec,
    frost_probability: GaugeVec,
    expert_weight: GaugeVec,
    expert_error: GaugeVec,
    /// The experts of each station that have series.
    experts: Mutex<BTreeMap<StationName, BTreeSet<String>>>,
    missing: GaugeVec,
    station_state: GaugeVec,
}

impl StationSeries {
    pub(super) fn new(make: &Maker<'_>) -> StationSeries {
        StationSeries {
            last_reading: make.gauges(
                "last_reading_timestamp_seconds",
                "Time of a station's newest reading.",
                &["station"],
            ),
            temperature: make.gauges(
                "air_temperature_celsius",
                "A station's newest temperature.",
                &["station"],
            ),
            forecast_temperature: make.gauges(
                "forecast_temperature_celsius",
                "A station's newest forecast.",
                &["station", "lead_h"],
            ),
            forecast_valid: make.gauges(
                "forecast_valid_timestamp_seconds",
                "The time that a station's newest forecast is for.",
                &["station", "lead_h"],
            ),
            forecast_low: make.gauges(
                "forecast_interval_low_celsius",
                "The lower end of the interval of a station's newest forecast.",
                &["station", "lead_h"],
            ),
            forecast_high: make.gauges(
                "forecast_interval_high_celsius",
                "The upper end of the interval of a station's newest forecast.",
                &["station", "lead_h"],
            ),
            forecast_lowest: make.gauges(
                "forecast_lowest_celsius",
                "The lowest temperature of the next day of a station's newest forecast.",
                &["station"],
            ),
            forecast_highest: make.gauges(
                "forecast_highest_celsius",
                "The highest temperature of the next day of a station's newest forecast.",
                &["station"],
            ),
            frost_probability: make.gauges(
                "forecast_frost_probability_ratio",
                "How likely the next day of a station's newest forecast has frost, of 1.",
                &["station"],
            ),
            expert_weight: make.gauges(
                "station_expert_weight_ratio",
                "How much an expert counts in a station's forecast, of 1.",
                &["station", "expert", "lead_h"],
            ),
            expert_error: make.gauges(
                "station_expert_mean_absolute_error_celsius",
                "Mean absolute error of an expert at a station over the last 30 days.",
                &["station", "expert", "lead_h"],
            ),
            experts: Mutex::new(BTreeMap::new()),
            missing: make.gauges(
                "station_missing_seconds",
                "How long readings must still come until a station's window is complete.",
                &["station"],
            ),
            station_state: make.gauges(
                "station_state",
                "How a station is: 1 for the state that it is in, 0 for the others.",
                &["station", "state"],
            ),
        }
    }
}

impl Metrics {
    /// A station's newest reading.
    pub fn station_reading(&self, name: &StationName, time: Timestamp, temperature_c: Option<f32>) {
        self.series.last_reading.with_label_values(&[name.as_str()]).set(time.as_second() as f64);
        if let Some(temperature_c) = temperature_c {
            self.series.temperature.with_label_values(&[name.as_str()]).set(decimal(temperature_c));
        }
    }

    /// How much history a station still lacks.
    pub fn station_missing(&self, name: &StationName, seconds: i64) {
        self.series.missing.with_label_values(&[name.as_str()]).set(seconds as f64);
    }

    /// A station's newest forecast, at the leads that have histograms; one that it does not have loses its series.
    pub fn station_forecast(&self, forecast: &Forecast) {
        for lead_h in HISTOGRAM_LEADS_H {
            let lead = forecast.at(lead_h);
            let lead_h = lead_h.to_string();
            let labels = [forecast.station.as_str(), &lead_h];
            let valid_s = lead.map(|lead| lead.valid_at.as_second() as f64);
            let interval_c = lead.and_then(|lead| lead.interval_c);
            set_or_remove(
                &self.series.forecast_temperature,
                &labels,
                lead.map(|lead| decimal(lead.temperature_c)),
            );
            set_or_remove(&self.series.forecast_valid, &labels, valid_s);
            set_or_remove(&self.series.forecast_low, &labels, interval_c.map(|(low_c, _)| decimal(low_c)));
            set_or_remove(&self.series.forecast_high, &labels, interval_c.map(|(_, high_c)| decimal(high_c)));
        }
        let station = [forecast.station.as_str()];
        let day = forecast.day_ahead.as_ref();
        set_or_remove(
            &self.series.forecast_lowest,
            &station,
            day.map(|day| decimal(day.lowest.temperature_c)),
        );
        set_or_remove(
            &self.series.forecast_highest,
            &station,
            day.map(|day| decimal(day.highest.temperature_c)),
        );
        let frost = day.and_then(|day| day.below.iter().find(|below| below.threshold_c == 0.0));
        set_or_remove(
            &self.series.frost_probability,
            &station,
            frost.map(|below| decimal(below.probability)),
        );
    }

    /// A station is in this state.
    pub fn station_state(&self, name: &StationName, state: &str) {
        for &known in STATE_NAMES {
            let is_it = f64::from(u8::from(known == state));
            self.series.station_state.with_label_values(&[name.as_str(), known]).set(is_it);
        }
    }

    /// How a station's experts stand, at the leads that have histograms. Those that are not there any more lose their series.
    pub fn station_experts(&self, name: &StationName, experts: &[Standing]) {
        let names: BTreeSet<String> = experts.iter().map(|expert| expert.name.clone()).collect();
        let before = lock(&self.series.experts).insert(name.clone(), names.clone()).unwrap_or_default();
        before.difference(&names).for_each(|gone| self.forget_expert(name, gone));
        for expert in experts {
            for lead_h in HISTOGRAM_LEADS_H {
                let lead = expert.leads.iter().find(|lead| lead.lead_h == lead_h);
                let lead_h = lead_h.to_string();
                let labels = [name.as_str(), expert.name.as_str(), lead_h.as_str()];
                set_or_remove(&self.series.expert_weight, &labels, lead.map(|lead| decimal(lead.weight)));
                let mae_c = lead.and_then(|lead| lead.mae_c);
                set_or_remove(&self.series.expert_error, &labels, mae_c.map(decimal));
            }
        }
    }

    fn forget_expert(&self, name: &StationName, expert: &str) {
        for lead_h in HISTOGRAM_LEADS_H {
            let labels = [name.as_str(), expert, &lead_h.to_string()];
            let _ = self.series.expert_weight.remove_label_values(&labels);
            let _ = self.series.expert_error.remove_label_values(&labels);
        }
    }

    /// A station is gone, and its series with it.
    pub fn forget_station(&self, name: &StationName) {
        let of_station = [
            &self.series.last_reading,
            &self.series.temperature,
            &self.series.missing,
            &self.series.forecast_lowest,
            &self.series.forecast_highest,
            &self.series.frost_probability,
        ];
        for gauges in of_station {
            let _ = gauges.remove_label_values(&[name.as_str()]);
        }
        for &state in STATE_NAMES {
            let _ = self.series.station_state.remove_label_values(&[name.as_str(), state]);
        }
        let experts = lock(&self.series.experts).remove(name).unwrap_or_default();
        experts.iter().for_each(|expert| self.forget_expert(name, expert));
        for lead_h in HISTOGRAM_LEADS_H {
            let labels = [name.as_str(), &lead_h.to_string()];
            let _ = self.series.forecast_temperature.remove_label_values(&labels);
            for gauges in [&self.series.forecast_valid, &self.series.forecast_low, &self.series.forecast_high]
            {
                let _ = gauges.remove_label_values(&labels);
            }
        }
    }
}

/// Sets a series, or takes it away where the newest forecast does not say it: else the one before would seem to.
fn set_or_remove(gauges: &GaugeVec, labels: &[&str], value: Option<f64>) {
    match value {
        Some(value) => gauges.with_label_values(labels).set(value),
        // It may not be there.
        None => drop(gauges.remove_label_values(labels)),
    }
}
