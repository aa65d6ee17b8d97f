//! What the session with the broker says and brings.

use forecastd_core::Input;
use forecastd_mapping::Source;
use forecastd_mqtt::{Incoming, News, Refusal, SessionEvent};
use jiff::Timestamp;

use super::{Driver, Turn, Undelivered};
use crate::daemon::home_assistant::Said;
use crate::daemon::sources::Taken;
use crate::operations::events::Notice;
use crate::wire;

impl Driver {
    pub(super) fn session_event(&mut self, event: SessionEvent) -> Turn {
        match event {
            SessionEvent::News(News::Subscribed) => {
                self.telemetry.notice(Notice::Connected);
                self.subscribed();
                return Turn::Subscribed;
            }
            SessionEvent::News(News::Disconnected { .. }) => {
                self.look_at_deliveries();
                self.handle(Input::Disconnected);
            }
            // The session has logged and counted these.
            SessionEvent::News(News::Refused(Refusal::Publication { topic, .. }))
                if self.home_assistant.is_own(&topic) =>
            {
                self.intentions.withdrawn = None;
                self.handle(Input::DiscoveryRefused);
            }
            SessionEvent::News(News::Connected { session_present }) => {
                self.reader.connected(session_present, Timestamp::now());
            }
            SessionEvent::News(News::Refused(_)) => {}
            SessionEvent::Message(incoming) => self.message(incoming),
        }
        Turn::Routine
    }

    /// The broker takes publications: what may not have reached it goes first.
    pub(super) fn subscribed(&mut self) {
        for Undelivered { station, origin, message, .. } in std::mem::take(&mut self.lost) {
            self.deliver(station, origin, message);
        }
        self.handle(Input::Subscribed);
        let done = self.intentions.subscribed.take();
        self.write_done(done);
    }

    pub(super) fn message(&mut self, incoming: Incoming) {
        let Incoming { topic, payload, retain, acknowledgement } = incoming;
        if let Some(said) = self.home_assistant.listen(&topic, &payload) {
            match said {
                Said::Started => self.handle(Input::HomeAssistantStarted),
                Said::Overwritten { station, by } => {
                    self.handle(Input::DiscoveryOverwritten { station, by });
                }
                Said::Nothing => {}
            }
            acknowledgement.complete();
            return;
        }
        self.telemetry.message_received();
        let token = self.acknowledgements.arrived(acknowledgement);
        // A wide filter takes nothing away from the topics of readings; one that is the same means them.
        let readings = &self.topics.reading;
        let is_ours = readings.station(&topic).is_some();
        let may_take = |source: &Source| !is_ours || source.filters().contains(&readings.filter());
        let mut sources = self.sources.iter().enumerate();
        if let Some((index, source)) =
            sources.find(|(_, source)| source.has_topic(&topic) && may_take(source))
        {
            let Taken { input, decoded, passed_over } =
                self.reader.take(source, &topic, &payload, retain, token, Timestamp::now());
            match (&decoded, &passed_over) {
                (Some((station, _)), Some(passed_over)) => {
                    self.telemetry.topic_passed_over(station, &topic, passed_over);
                }
                (Some((station, decoded)), None) => self.telemetry.decoded(station, decoded),
                (None, _) if matches!(input, Input::WithoutValue { .. }) => {
                    self.telemetry.message_without_value(index, &topic);
                }
                (None, _) => {}
            }
            return self.handle(input);
        }
        let input = match wire::message::decode(&self.topics.reading, &topic, &payload, retain) {
            Ok(wire::message::Received::Forget(station)) => Input::Forget { station, token: Some(token) },
            Ok(wire::message::Received::Reading { station, decoded }) => {
                self.telemetry.decoded(&station, &decoded);
                Input::Reading {
                    station,
                    time: decoded.time,
                    values: decoded.values,
                    place: decoded.place,
                    token,
                }
            }
            Err(wire::message::NotTaken { station, reason, detail }) => {
                Input::Unreadable { station, reason, detail, token }
            }
        };
        self.handle(input);
    }
}
