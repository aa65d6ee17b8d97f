//! Windows drawn at random from many stations, with what was observed after them.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use forecastd_core::{History, Normalisation, Quantity, Site, Slot, WindowSpec};

use super::mask::Mask;
use super::pool::Pool;
use super::split::Role;
use super::window::{self, LEADS};

/// Rows of what is forecast: the temperature at each lead, the lowest and the highest of them.
pub(super) const ROWS: usize = LEADS + 2;
/// Auxiliary targets: how dew point, pressure and wind speed change until every third hour. To learn them too keeps a network
/// from learning by heart what comes of temperature alone; they are cut off at export.
pub(super) const AUXILIARY: usize = AUXILIARY_QUANTITIES.len() * AUXILIARY_LEADS;
const AUXILIARY_QUANTITIES: [Quantity; 3] =
    [Quantity::DewPointTemperature, Quantity::AirPressure, Quantity::WindSpeed];
const AUXILIARY_LEADS: usize = 8;

/// What auxiliary outputs are verified against; NaN where nothing was measured.
pub(crate) type Auxiliary = [f32; AUXILIARY];

/// So many of the hours ahead must have been measured for their lowest and highest.
const MOST_MISSING: usize = 2;
/// A station has less weight where others are within this distance, km.
const NEIGHBOURS_KM: f64 = 250.0;

/// What a window's forecasts are verified against, °C less the newest temperature; NaN where nothing was measured.
pub(crate) type Observed = [f32; ROWS];

/// Where a window ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) station: usize,
    pub(crate) segment: usize,
    pub(crate) slot: Slot,
}

/// Draws and cuts windows.
pub(crate) struct Cutter<'a> {
    pub(crate) pool: &'a Pool,
    /// How windows are cut on the grids of the pool's histories.
    specs: Vec<WindowSpec>,
    normalisation: Normalisation,
    positions: window::Positions,
    /// Stations to draw from, with the sum of weights up to each.
    weights: Vec<(f64, usize)>,
}

impl<'a> Cutter<'a> {
    /// Draws from the stations that train. Each has one over the root of how many of them stand nearby as its weight.
    pub(crate) fn new(pool: &'a Pool, roles: &[Role]) -> Cutter<'a> {
        let train: Vec<usize> = (0..pool.stations.len())
            .filter(|&index| roles[index] == Role::Train && pool.stations[index].origins() > 0)
            .collect();
        let mut sum = 0.0;
        let weights = train
            .iter()
            .map(|&index| {
                let site = pool.stations[index].site;
                let is_near =
                    |&&other: &&usize| site.distance_km(&pool.stations[other].site) <= NEIGHBOURS_KM;
                sum += 1.0 / (train.iter().filter(is_near).count() as f64).sqrt();
                (sum, index)
            })
            .collect();
        let mut specs: Vec<WindowSpec> = Vec::new();
        for segment in pool.stations.iter().flat_map(|station| &station.segments) {
            let step_s = segment.history.grid().step_s();
            if specs.iter().all(|spec| i64::from(spec.grid_step_s) != step_s) {
                specs.extend(u32::try_from(step_s).ok().map(window::window));
            }
        }
        Cutter {
            pool,
            specs,
            normalisation: window::normalisation(),
            positions: window::Positions::new(),
            weights,
        }
    }

    /// How many windows there are to draw from.
    pub(crate) fn origins(&self) -> usize {
        self.weights.iter().map(|&(_, index)| self.pool.stations[index].origins()).sum()
    }

    /// How many stations.
    pub(crate) fn stations(&self) -> usize {
        self.weights.len()
    }

    /// A window at random: where it ends, what is hidden of it, and where the station says that it stands.
    fn draw(&self, generator: &mut Pcg64) -> (Origin, Mask, Site) {
        let total = self.weights.last().map_or(0.0, |(sum, _)| *sum);
        let at = generator.random_range(0.0..total);
        let station = self.weights[self.weights.partition_point(|(sum, _)| *sum <= at)].1;
        let segments = &self.pool.stations[station].segments;
        let mut index = generator.random_range(0..self.pool.stations[station].origins());
        let mut segment = 0;
        while index >= segments[segment].origins.len() {
            index -= segments[segment].origins.len();
            segment += 1;
        }
        let slot = segments[segment].origins[index];
        let mut site = self.pool.stations[station].site;
        // Many will give a rough place, or no elevation.
        if generator.random_bool(0.25) {
            site.longitude_deg += generator.random_range(-5.0..5.0);
            site.latitude_deg = (site.latitude_deg + generator.random_range(-2.0..2.0)).clamp(-90.0, 90.0);
        }
        if generator.random_bool(0.1) {
            site.elevation_m = None;
        }
        (Origin { station, segment, slot }, Mask::draw(generator), site)
    }

    /// Writes what the network is given of a window, and gives what was observed after it; `None` without a temperature now.
    pub(crate) fn cut(
        &self,
        origin: Origin,
        mask: &Mask,
        site: Site,
        numbers: &mut [f32],
        row: &mut [f32],
    ) -> Option<Observed> {
        let station = &self.pool.stations[origin.station];
        let segment = &station.segments[origin.segment];
        let is_needed = |position: usize| self.positions.is_needed(position);
        let step_s = segment.history.grid().step_s();
        let spec = self.specs.iter().find(|spec| i64::from(spec.grid_step_s) == step_s)?;
        spec.fill_where(&segment.history, site, origin.slot, is_needed, numbers).ok()?;
        self.normalisation.apply(numbers);
        mask.apply(numbers);
        window::gather(numbers, &self.positions, row);
        Some(observed_after(&segment.history, origin.slot, station.step_h))
    }

    /// The example of a number, the same every time.
    pub(crate) fn example(&self, seed: u64, numbers: &mut [f32], row: &mut [f32]) -> (Observed, Auxiliary) {
        let mut generator = Pcg64::seed_from_u64(seed);
        loop {
            let (origin, mask, site) = self.draw(&mut generator);
            if let Some(observed) = self.cut(origin, &mask, site, numbers, row)
                && observed.iter().any(|value| !value.is_nan())
            {
                let station = &self.pool.stations[origin.station];
                let history = &station.segments[origin.segment].history;
                return (observed, auxiliary(history, origin.slot));
            }
        }
    }
}

/// The temperature at a slot, or the one nearest to it within half an hour; NaN where there is none.
pub(super) fn temperature_near(history: &History, slot: Slot) -> f32 {
    let value = |slot| history.value(slot, Quantity::AirTemperature);
    let within = (history.grid().slots_per_hour() - 1) / 2;
    let near = (1..=within).flat_map(|away| [slot - away, slot + away]);
    std::iter::once(slot).chain(near).map(value).find(|value| !value.is_nan()).unwrap_or(f32::NAN)
}

/// What was observed in the 24 hours after `slot`, less the temperature then. What lies between observations `step_h` hours
/// apart was interpolated and does not count.
pub(super) fn observed_after(history: &History, slot: Slot, step_h: i64) -> Observed {
    let per_hour = history.grid().slots_per_hour();
    let newest = history.value(slot, Quantity::AirTemperature);
    let mut observed = [f32::NAN; ROWS];
    let (mut low, mut high, mut count) = (f32::MAX, f32::MIN, 0);
    for (lead, outcome) in observed.iter_mut().take(LEADS).enumerate() {
        let valid = slot + (lead as i64 + 1) * per_hour;
        let value = temperature_near(history, valid);
        if value.is_nan() {
            continue;
        }
        (low, high, count) = (low.min(value), high.max(value), count + 1);
        if (valid / per_hour) % step_h == 0 {
            *outcome = value - newest;
        }
    }
    if count + MOST_MISSING >= LEADS && step_h == 1 {
        (observed[LEADS], observed[LEADS + 1]) = (low - newest, high - newest);
    }
    observed
}

/// How the other quantities change after `slot`.
fn auxiliary(history: &History, slot: Slot) -> Auxiliary {
    std::array::from_fn(|index| {
        let quantity = AUXILIARY_QUANTITIES[index / AUXILIARY_LEADS];
        let ahead = 3 * (index % AUXILIARY_LEADS + 1) as i64 * history.grid().slots_per_hour();
        history.value(slot + ahead, quantity) - history.value(slot, quantity)
    })
}
