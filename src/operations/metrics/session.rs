//! The session with the broker, as it counts itself.

use std::sync::Arc;
use std::sync::Mutex;

use forecastd_mqtt::SessionStatistics;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::{Maker, Metrics, lock};

/// The session with the broker, as it counts itself.
pub(super) struct SessionMetrics {
    connected: IntGauge,
    attempts: IntCounter,
    connects: IntCounter,
    disconnects: IntCounterVec,
    subscriptions_refused: IntCounter,
    received: IntCounter,
    dropped: IntCounterVec,
    published: IntCounter,
    acknowledged: IntCounter,
    in_flight: IntGauge,
    statistics: Mutex<Option<Arc<SessionStatistics>>>,
}

impl SessionMetrics {
    pub(super) fn new(make: &Maker<'_>) -> SessionMetrics {
        SessionMetrics {
            connected: make.gauge("mqtt_connected", "1 while the broker is connected."),
            attempts: make.counter("mqtt_connection_attempts_total", "Attempts to connect to the broker."),
            connects: make.counter("mqtt_connections_total", "Connections that the broker accepted."),
            disconnects: make.counters(
                "mqtt_disconnections_total",
                "Connections lost and attempts failed.",
                "reason",
                forecastd_mqtt::DisconnectReason::LABELS,
            ),
            subscriptions_refused: make
                .counter("mqtt_subscriptions_refused_total", "Subscriptions that the broker refused."),
            received: make.counter("mqtt_messages_received_total", "Messages that arrived."),
            dropped: make.counters(
                "mqtt_messages_dropped_total",
                "Messages dropped in either direction.",
                "reason",
                &["overflow", "oversized", "bad_topic", "queue_full", "refused", "expired"],
            ),
            published: make.counter("mqtt_messages_published_total", "Messages handed in for publication."),
            acknowledged: make.counter(
                "mqtt_messages_acknowledged_total",
                "Published messages that the broker acknowledged.",
            ),
            in_flight: make
                .gauge("mqtt_messages_in_flight", "Messages that wait to be sent or acknowledged."),
            statistics: Mutex::new(None),
        }
    }
}

impl Metrics {
    /// Whose counters are shown.
    pub fn watch_session(&self, statistics: Arc<SessionStatistics>) {
        *lock(&self.session.statistics) = Some(statistics);
    }

    pub(super) fn collect_session(&self) {
        let session = lock(&self.session.statistics);
        let Some(statistics) = &*session else { return };
        let bring = |counter: &IntCounter, value: u64| counter.inc_by(value.saturating_sub(counter.get()));
        self.session.connected.set(i64::from(statistics.is_connected()));
        bring(&self.session.attempts, statistics.attempts.get());
        bring(&self.session.connects, statistics.connects.get());
        for (reason, count) in statistics.disconnects() {
            bring(&self.session.disconnects.with_label_values(&[reason]), count);
        }
        bring(&self.session.subscriptions_refused, statistics.subscriptions_refused.get());
        bring(&self.session.received, statistics.received.get());
        for (reason, count) in [
            ("overflow", &statistics.dropped_overflow),
            ("oversized", &statistics.dropped_oversized),
            ("bad_topic", &statistics.dropped_topic),
            ("queue_full", &statistics.publications_dropped),
            ("refused", &statistics.publications_refused),
            ("expired", &statistics.publications_expired),
        ] {
            bring(&self.session.dropped.with_label_values(&[reason]), count.get());
        }
        bring(&self.session.published, statistics.published.get());
        bring(&self.session.acknowledged, statistics.publications_acknowledged.get());
        self.session.in_flight.set(statistics.in_flight.get() as i64);
    }
}
