//! Which stations are for training, for validation and for testing.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use forecastd_core::{Quantity, Slot};

use super::example::observed_after;
use super::pool::PoolStation;

/// What a station is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// It is trained on.
    Train,
    /// Epochs and recipes are chosen by it.
    Validation,
    /// It is looked at once, for the model that is shipped.
    Test,
    /// It stands so near to a validation or test station that it has the same weather.
    Unused,
}

/// Groups whose terms do not let a published model be trained on them: test stations.
pub(crate) const TEST_GROUPS: [&str; 9] =
    ["FOEHN", "AIRQ", "FLUX", "METAR-BDG", "CRHM", "MELODIST", "TEB", "SUEWS", "BOM3H"];
/// Stations nearer to each other than this have the same weather, km.
const SAME_WEATHER_KM: f64 = 50.0;
/// Validation stations, and test stations beside the [`TEST_GROUPS`].
const HELD_OUT: usize = 26;
/// Stations of one role are at least so far from each other, so that they do not say the same many times, km.
const SPREAD_KM: f64 = 200.0;
/// With fewer origins than this, a station is for neither.
const FEWEST_ORIGINS: usize = 2000;

/// A climate as far as temperature tells it, for spreading what is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Climate {
    /// Within the tropics.
    Tropical,
    /// Warm, with a wide daily range.
    Dry,
    /// Warm, with a narrow one.
    WarmHumid,
    /// Cool, with a wide one.
    Continental,
    /// Cool, with a narrow one.
    Maritime,
    /// Cold on average.
    Cold,
}

impl Climate {
    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Climate::Tropical => "tropical",
            Climate::Dry => "warm, wide daily range",
            Climate::WarmHumid => "warm, narrow daily range",
            Climate::Continental => "cool, wide daily range",
            Climate::Maritime => "cool, narrow daily range",
            Climate::Cold => "cold",
        }
    }

    /// The climate of a station: by latitude, mean temperature and mean daily range.
    pub(crate) fn from_station(station: &PoolStation) -> Climate {
        let (mean_c, range_c) = mean_and_range(station);
        match station.site.latitude_deg.abs() {
            ..23.44 => Climate::Tropical,
            _ if mean_c < 5.0 => Climate::Cold,
            _ if mean_c >= 15.0 && range_c >= 11.0 => Climate::Dry,
            _ if mean_c >= 15.0 => Climate::WarmHumid,
            _ if range_c >= 9.0 => Climate::Continental,
            _ => Climate::Maritime,
        }
    }
}

/// Mean temperature and mean daily range, °C.
fn mean_and_range(station: &PoolStation) -> (f64, f64) {
    let (mut sum, mut count) = (0.0, 0.0);
    let mut days: BTreeMap<(usize, i64), (f32, f32)> = BTreeMap::new();
    for (index, segment) in station.segments.iter().enumerate() {
        for &slot in &segment.origins {
            let value = segment.history.value(slot, Quantity::AirTemperature);
            sum += f64::from(value);
            count += 1.0;
            let day = slot.div_euclid(24 * segment.history.grid().slots_per_hour());
            let day = days.entry((index, day)).or_insert((value, value));
            *day = (day.0.min(value), day.1.max(value));
        }
    }
    let range =
        days.values().map(|(low, high)| f64::from(high - low)).sum::<f64>() / days.len().max(1) as f64;
    (if count > 0.0 { sum / count } else { f64::NAN }, range)
}

/// Gives every station its role. Those held out are spread over climates, each in an order that the ids alone determine.
pub(crate) fn assign(stations: &[PoolStation]) -> Vec<Role> {
    let mut roles = vec![Role::Train; stations.len()];
    let mut order: Vec<usize> = (0..stations.len()).collect();
    order.sort_by_key(|&index| Sha256::digest(stations[index].id.as_bytes()).to_vec());
    for &index in &order {
        if TEST_GROUPS.contains(&stations[index].group.as_str()) {
            roles[index] = Role::Test;
        }
    }
    // Climate after climate has its turn.
    let mut queues: BTreeMap<Climate, Vec<usize>> = BTreeMap::new();
    for &index in order.iter().rev() {
        let station = &stations[index];
        if roles[index] == Role::Train && !station.is_named && station.origins() >= FEWEST_ORIGINS {
            queues.entry(Climate::from_station(station)).or_default().push(index);
        }
    }
    for role in [Role::Test, Role::Validation] {
        let mut taken: Vec<usize> = Vec::new();
        loop {
            let before = taken.len();
            for queue in queues.values_mut() {
                let is_wanted = |index: &usize| is_spread(stations, *index, &taken);
                if taken.len() < HELD_OUT
                    && let Some(position) = queue.iter().rposition(is_wanted)
                {
                    let index = queue.remove(position);
                    roles[index] = role;
                    taken.push(index);
                }
            }
            if taken.len() == before || taken.len() == HELD_OUT {
                break;
            }
        }
    }
    let held: Vec<usize> = (0..stations.len()).filter(|&index| roles[index] != Role::Train).collect();
    for index in 0..stations.len() {
        let station = &stations[index];
        let is_near = |&other: &usize| station.site.distance_km(&stations[other].site) < SAME_WEATHER_KM;
        if roles[index] == Role::Train && !station.is_named && held.iter().any(is_near) {
            roles[index] = Role::Unused;
        }
    }
    roles
}

/// How many stations of each role there are, training, validation and test, of which a window can be cut with something observed after it.
pub(crate) fn usable(stations: &[PoolStation], roles: &[Role]) -> [usize; 3] {
    let has_outcome = |station: &PoolStation| {
        station.segments.iter().any(|segment| {
            let outcomes = |&slot: &Slot| observed_after(&segment.history, slot, station.step_h);
            segment.origins.iter().any(|slot| outcomes(slot).iter().any(|value| !value.is_nan()))
        })
    };
    [Role::Train, Role::Validation, Role::Test].map(|role| {
        let of_role = stations.iter().zip(roles).filter(|(_, own)| **own == role);
        of_role.filter(|(station, _)| has_outcome(station)).count()
    })
}

fn is_spread(stations: &[PoolStation], index: usize, taken: &[usize]) -> bool {
    let site = stations[index].site;
    taken.iter().all(|&other| site.distance_km(&stations[other].site) >= SPREAD_KM)
}

#[cfg(test)]
mod tests {
    use forecastd_core::{History, Site, Values};

    use super::*;
    use crate::world::pool::{QUANTITIES, Segment, hourly};

    fn station(id: usize, hours: i64) -> PoolStation {
        let mut history = History::new(hourly(), &QUANTITIES, hours as usize);
        for slot in 0..hours {
            let mut values = Values::NONE;
            values.set(Quantity::AirTemperature, 10.0 + (slot % 24) as f32 / 4.0);
            history.insert(hourly().time(slot), &values);
        }
        PoolStation {
            id: format!("s{id}"),
            name: format!("S{id}"),
            group: "G".to_owned(),
            site: Site::new(-50.0 + 5.0 * id as f64, 10.0),
            step_h: 1,
            is_named: false,
            segments: vec![Segment { history, origins: (0..hours).collect() }],
        }
    }

    #[test]
    fn a_role_that_no_station_can_take_is_counted_as_none() {
        let counts = |stations: &[PoolStation]| usable(stations, &assign(stations));
        let long = FEWEST_ORIGINS as i64;
        assert_eq!(counts(&[]), [0, 0, 0]);
        assert_eq!(counts(&[station(0, 100)]), [1, 0, 0], "too short to be a test station");
        assert_eq!(counts(&[station(0, long), station(1, long)]), [0, 0, 2], "the first are test stations");
        // A single reading has nothing after it.
        assert_eq!(counts(&[station(0, 1)]), [0, 0, 0]);
    }
}
