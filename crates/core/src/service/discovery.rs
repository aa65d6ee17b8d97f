//! What Home Assistant is told of the stations, and in which turn.
//!
//! All stations want to be told of at once when Home Assistant starts: they wait in a queue, and some of them go with every
//! [`Input::Discover`](super::Input::Discover), which a driver sends while it has room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;

use super::io::Publication;
use super::{Effect, Event, Service};
use crate::model::Model;
use crate::station::Station;
use crate::weather::reading::StationName;

/// So many stations go at once.
const AT_ONCE: usize = 128;

/// The lead whose forecast is shown, where the main model has it.
const DAY_H: u32 = 24;

/// Whether Home Assistant is told of the stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiscoverySettings {
    /// Of so many stations at most; 0 = of none.
    pub stations_max: usize,
    /// Whether what an earlier run told of the stations is to be taken back: it told it elsewhere, or none is told any more.
    pub withdraws: bool,
}

/// What Home Assistant is told of a station: what of its forecasts there is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The station that Home Assistant is told of.
    pub station: StationName,
    /// The lead whose temperature is shown, hours: 24, or the longest of a model that has no such lead.
    pub lead_h: u32,
    /// Over how many hours the lowest and the highest temperature and the probability of frost are forecast, if they are.
    pub extremes_h: Option<u32>,
    /// After so long a forecast without a newer one says nothing any more.
    pub stale_after: SignedDuration,
}

impl Discovery {
    /// What there is to be told of a station, with this main model.
    pub(super) fn new(station: &Station, main: &Arc<Model>, stale_after: SignedDuration) -> Discovery {
        let manifest = &main.manifest;
        let lead_h = if manifest.lead_h.contains(&DAY_H) { DAY_H } else { manifest.max_lead_h() };
        Discovery { station: station.name().clone(), lead_h, extremes_h: station.extremes_h(), stale_after }
    }
}

/// Who was told of, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    settings: DiscoverySettings,
    announced: BTreeMap<StationName, Discovery>,
    waiting: BTreeSet<StationName>,
    /// Stations of which what was told before is to be taken back.
    withdrawing: BTreeSet<StationName>,
    is_refused: bool,
    is_full: bool,
    says_full: bool,
}

impl Announcements {
    pub(super) fn new(settings: DiscoverySettings) -> Announcements {
        Announcements { settings, ..Announcements::default() }
    }

    /// A station is there, or is to be told of again.
    pub(super) fn wanted(&mut self, name: &StationName) {
        if self.settings.stations_max > 0 && !self.is_refused {
            self.waiting.insert(name.clone());
        }
    }

    /// A station was there before this start.
    pub(super) fn restored(&mut self, name: &StationName) {
        if self.settings.withdraws {
            self.withdrawing.insert(name.clone());
        }
    }

    /// This is what there is to be told of a station now, which may be another thing than before.
    pub(super) fn changed(&mut self, discovery: &Discovery) {
        if self.announced.get(&discovery.station).is_some_and(|told| told != discovery) {
            self.wanted(&discovery.station);
        }
    }

    /// A station is not there any more.
    pub(super) fn gone(&mut self, name: &StationName) {
        self.announced.remove(name);
        self.waiting.remove(name);
    }

    /// All that were told of want to be again; how many these are.
    pub(super) fn again(&mut self) -> usize {
        if self.is_refused {
            return 0;
        }
        self.waiting.extend(self.announced.keys().cloned());
        self.announced.len()
    }

    /// Nothing can be told; whether that is news.
    pub(super) fn refused(&mut self) -> bool {
        self.waiting.clear();
        self.withdrawing.clear();
        !std::mem::replace(&mut self.is_refused, true)
    }

    pub(super) fn has_announced(&self, name: &StationName) -> bool {
        self.announced.contains_key(name)
    }

    pub(super) fn waits_to_withdraw(&self) -> bool {
        !self.withdrawing.is_empty()
    }

    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty() || !self.withdrawing.is_empty()
    }

    /// What is published next, by rising name. `describe` says what there is to be told of a station.
    pub(super) fn next(&mut self, describe: impl Fn(&StationName) -> Option<Discovery>) -> Vec<Publication> {
        let mut publications = Vec::new();
        while publications.len() < AT_ONCE
            && let Some(name) = self.withdrawing.pop_first()
        {
            publications.push(Publication::WithdrawDiscovery(name));
        }
        while publications.len() < AT_ONCE
            && let Some(name) = self.waiting.pop_first()
        {
            if self.announced.len() >= self.settings.stations_max && !self.announced.contains_key(&name) {
                self.is_full = true;
                continue;
            }
            let Some(discovery) = describe(&name) else { continue };
            self.announced.insert(name, discovery.clone());
            publications.push(Publication::Discovery(discovery));
        }
        publications
    }

    /// Of how many stations is told, when that has just become all that it can be.
    pub(super) fn is_full_now(&mut self) -> Option<usize> {
        let is_news = self.is_full && !std::mem::replace(&mut self.says_full, self.is_full);
        is_news.then_some(self.announced.len())
    }
}

impl Service {
    /// Tells Home Assistant of some of the stations that wait for it.
    pub(super) fn discover(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_subscribed {
            return;
        }
        let publications = self.announcements.next(|name| {
            let entry = self.stations.get(name)?;
            Some(Discovery::new(&entry.station, self.models.main(), self.settings.stale_after))
        });
        effects.extend(publications.into_iter().map(Effect::Publish));
        if let Some(announced) = self.announcements.is_full_now() {
            effects.push(Effect::Emit(Event::DiscoveryFull { announced }));
        }
    }
}
