//! One connection to the broker. The client library is spoken to here (and in `client_options` and `reason`) alone.
//!
//! Its traps, and how they are met:
//! - Its event loop must be polled all the time, so nothing here waits for anything else: requests go through
//!   unbounded channels whose fill our own windows bound.
//! - A poll that is cancelled while it connects starts over, so a poll is never cancelled (except to end).
//! - After an error it would reconnect at once, replay packets of the old connection, and could loop for ever on a
//!   packet identifier that collides: each connection gets a client of its own, and the outbox repeats what
//!   was not acknowledged.
//! - A new client refuses a session that the broker resumes, or, if told not to, refuses to publish on it. It takes
//!   it when a session store holds its state. At QoS 1 a fresh client's state is *empty*: that is what our store says.
//! - A retained message for a broker without retention vanishes inside the library, and a packet larger than the
//!   broker takes ends the connection, again and again: both are looked at before.
//! - The library's search for a request that can go is linear, so no more is handed to it than the broker lets fly.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnAck, Event, EventLoop, Outgoing, Packet, PubAck, PubAckReason, Publish, PublishOptions,
    PublishProperties, QoS, RetainForwardRule, SubAck, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::client_options::client_options;
use crate::disconnect::DisconnectReason;
use crate::foreign;
use crate::message::Message;
use crate::news::{News, Refusal};
use crate::purpose::Purpose;
use crate::queue::Arrived;
use crate::rate_limit::Kind;
use crate::reason::reason;
use crate::settings::MqttSettings;
use crate::shared::Shared;

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It was lost, or never came about.
    Lost {
        /// What the broker or the network did.
        reason: DisconnectReason,
        /// How long it had lasted; absent when the broker had not accepted us.
        lasted: Option<Duration>,
    },
    /// We were told to stop.
    Stopped {
        /// Whether the broker was told.
        clean: bool,
    },
}

/// How far the end has come that we were told to make.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Serving,
    /// Sending what waits; `offline` is sent when nothing waits, or at the given time.
    Draining(Instant),
    /// `offline` is handed over; its token once it is known.
    Leaving(Option<u64>),
    /// The goodbye is handed over.
    SayingGoodbye,
}

/// What of our subscriptions the broker has not answered yet.
#[derive(Debug, Clone, Copy, Default)]
struct Unanswered {
    subscribe: bool,
    unsubscribe: bool,
}

/// What the broker allows on this connection.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    retain: bool,
    packet_bytes: u32,
}

/// One connection, from before the attempt until its end.
pub(crate) struct Connection<'a> {
    shared: &'a Arc<Shared>,
    settings: &'a MqttSettings,
    purpose: &'a mut Purpose,
    stage: Stage,
    connected_at: Option<Instant>,
    /// What of our subscriptions the broker has not answered yet.
    unanswered: Unanswered,
    allowance: Allowance,
    /// Messages that may be sent ahead of the broker's acknowledgements; sending begins once we are subscribed.
    window: usize,
    /// Tokens of messages handed to the library that have no packet identifier yet, in order.
    handed_over: VecDeque<u64>,
    /// Tokens of messages on their way, by packet identifier.
    on_their_way: HashMap<u16, u64>,
    /// Whether a message found no room that the broker will send again.
    overrun: bool,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        settings: &'a MqttSettings,
        purpose: &'a mut Purpose,
    ) -> Connection<'a> {
        Connection {
            shared,
            settings,
            purpose,
            stage: Stage::Serving,
            connected_at: None,
            unanswered: Unanswered::default(),
            allowance: Allowance { retain: true, packet_bytes: u32::MAX },
            window: 1,
            handed_over: VecDeque::new(),
            on_their_way: HashMap::new(),
            overrun: false,
        }
    }

    /// Connects and serves the connection until it ends.
    pub(crate) async fn serve(mut self, stopped: &mut watch::Receiver<Option<Instant>>) -> End {
        self.shared.statistics.attempts.add(1);
        let options = match client_options(self.settings, self.purpose.status.as_ref()) {
            Ok(options) => options,
            Err(reason) => return self.lost(reason),
        };
        let (client, mut event_loop) = match AsyncClient::builder(options).unbounded().try_build() {
            Ok(pair) => pair,
            Err(error) => return self.lost(DisconnectReason::Protocol(error.to_string())),
        };
        let patience = self.settings.acknowledge_timeout().min(self.settings.connect_timeout());
        let mut look = pin!(tokio::time::sleep(patience));
        loop {
            let polled = {
                let mut poll = pin!(event_loop.poll());
                loop {
                    self.hand_over(&client);
                    let drain_until = match self.stage {
                        Stage::Draining(until) => Some(until),
                        _ => None,
                    };
                    tokio::select! {
                        biased;
                        polled = &mut poll => break polled,
                        () = self.shared.wake.notified() => {}
                        deadline = stop_asked(stopped), if self.stage == Stage::Serving => {
                            if self.connected_at.is_none() {
                                return End::Stopped { clean: false };
                            }
                            let left = deadline.saturating_duration_since(Instant::now());
                            self.stage = Stage::Draining(Instant::now() + left / 2);
                        }
                        () = at(drain_until), if drain_until.is_some() => self.leave(),
                        // An end that was asked for has a deadline of its own.
                        () = &mut look, if self.stage == Stage::Serving => {
                            let now = Instant::now();
                            match self.overdue() {
                                Some((due, reason)) if due <= now => return self.lost(reason),
                                Some((due, _)) => look.as_mut().reset(due.min(now + patience)),
                                None => look.as_mut().reset(now + patience),
                            }
                        }
                    }
                }
            };
            match polled {
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Stopped { clean: true },
                Ok(event) => {
                    self.handle(event, &client, &mut event_loop);
                    if self.overrun && self.stage == Stage::Serving {
                        return self.lost(DisconnectReason::Overrun);
                    }
                }
                Err(_) if self.stage == Stage::SayingGoodbye => return End::Stopped { clean: true },
                Err(_) if self.stage != Stage::Serving => return End::Stopped { clean: false },
                Err(error) => {
                    let reason = reason(&error, self.connected_at.is_some());
                    return self.lost(reason);
                }
            }
        }
    }

    fn lost(&self, reason: DisconnectReason) -> End {
        End::Lost { reason, lasted: self.connected_at.map(|since| since.elapsed()) }
    }

    /// When the broker's next answer is due, and what it means when it has not come by then.
    fn overdue(&self) -> Option<(Instant, DisconnectReason)> {
        let connected_at = self.connected_at?;
        if self.unanswered.subscribe || self.unanswered.unsubscribe {
            let limit = self.settings.connect_timeout();
            return Some((connected_at + limit, DisconnectReason::NotSubscribed(limit)));
        }
        let limit = self.settings.acknowledge_timeout();
        let sent_at = self.shared.outbox().oldest_in_flight()?;
        Some((sent_at + limit, DisconnectReason::Unacknowledged(limit)))
    }

    /// Gives the library what can go: acknowledgements, then messages.
    fn hand_over(&mut self, client: &AsyncClient) {
        if self.connected_at.is_none() || self.stage == Stage::SayingGoodbye {
            return;
        }
        loop {
            let (next, owed) = {
                let mut acknowledgements = self.shared.acknowledgements();
                (acknowledgements.next_ready(), acknowledgements.owed())
            };
            let Some(packet) = next else { break };
            self.shared.statistics.unacknowledged.set(owed as u64);
            match client.try_manual_ack(packet) {
                Ok(()) => self.shared.statistics.acknowledgements.add(1),
                Err(error) => error!(%error, "acknowledgement was not accepted"),
            }
        }
        let now = Instant::now();
        let mut progress = false;
        loop {
            let (next, settled_before, settled) = {
                let mut outbox = self.shared.outbox();
                let before = outbox.settled();
                (outbox.take(now), before, outbox.settled())
            };
            // What has expired settles without being sent.
            progress |= settled != settled_before;
            let Some((token, message)) = next else { break };
            progress = true;
            self.send(client, token, message, now);
        }
        if progress {
            self.shared.progress.notify_waiters();
            self.count_in_flight();
        }
        self.advance_the_end(client);
    }

    fn send(&mut self, client: &AsyncClient, token: u64, message: Message, now: Instant) {
        if self.stage == Stage::Leaving(None)
            && let Some(status) = &self.purpose.status
            && *status.topic == *message.topic
            && status.offline == message.payload
        {
            self.stage = Stage::Leaving(Some(token));
        }
        if message.is_clearing() && !self.allowance.retain {
            // There is nothing to take back.
            self.shared.outbox().settle(token);
            return;
        }
        let expiry_s = message.expiry_interval_s(now);
        // fixed header, topic length, packet identifier, property length, expiry
        let expiry_bytes = if expiry_s.is_some() { 5 } else { 0 };
        let packet_bytes = 5 + 2 + message.topic.len() + 2 + 1 + expiry_bytes + message.payload.len();
        if packet_bytes > self.allowance.packet_bytes as usize {
            let reason = format!(
                "{packet_bytes} bytes are more than the broker takes ({})",
                self.allowance.packet_bytes
            );
            return self.refused(token, reason);
        }
        let mut options =
            PublishOptions::new(QoS::AtLeastOnce).retain(message.retain && self.allowance.retain);
        if expiry_s.is_some() {
            options = options.properties(PublishProperties {
                message_expiry_interval: expiry_s,
                ..PublishProperties::default()
            });
        }
        match client.try_publish(message.topic.as_ref(), message.payload, options) {
            Ok(()) => {
                self.handed_over.push_back(token);
                self.shared.statistics.sent.add(1);
            }
            Err(error) => self.refused(token, error.to_string()),
        }
    }

    fn count_in_flight(&self) {
        let (pending, expired) = {
            let outbox = self.shared.outbox();
            (outbox.pending(), outbox.expired())
        };
        self.shared.statistics.in_flight.set(pending as u64);
        self.shared.statistics.publications_expired.set(expired);
    }

    fn advance_the_end(&mut self, client: &AsyncClient) {
        let idle = || self.shared.outbox().is_idle();
        if matches!(self.stage, Stage::Draining(_)) && idle() {
            self.leave();
            self.shared.wake.notify_one();
        } else if self.stage == Stage::Leaving(None) && self.purpose.status.is_none() {
            self.say_goodbye(client);
        } else if let Stage::Leaving(Some(token)) = self.stage
            && self.shared.outbox().is_settled(token)
        {
            self.say_goodbye(client);
        }
    }

    /// Hands in `offline`, before all that still waits.
    fn leave(&mut self) {
        self.stage = Stage::Leaving(None);
        if let Some(status) = &self.purpose.status {
            self.shared.outbox().push_status(status.message(&status.offline));
        }
    }

    fn say_goodbye(&mut self, client: &AsyncClient) {
        self.stage = Stage::SayingGoodbye;
        if let Err(error) = client.try_disconnect_with_timeout(Duration::from_secs(1)) {
            debug!(%error, "goodbye was not accepted");
        }
    }

    fn handle(&mut self, event: Event, client: &AsyncClient, event_loop: &mut EventLoop) {
        match event {
            Event::Incoming(Packet::Publish(publish)) => self.message(publish, client),
            Event::Incoming(Packet::PubAck(packet)) => self.published(&packet),
            Event::Outgoing(Outgoing::Publish(identifier)) => {
                if let Some(token) = self.handed_over.pop_front() {
                    self.on_their_way.insert(identifier, token);
                }
            }
            Event::Incoming(Packet::ConnAck(packet)) => {
                event_loop.options.clear_session_store();
                self.accepted(&packet, client);
            }
            Event::Incoming(Packet::SubAck(packet)) => self.subscribed(&packet),
            Event::Incoming(Packet::UnsubAck(packet)) => {
                debug!(filters = ?self.purpose.obsolete, reasons = ?packet.reasons, "unsubscribed");
                // For good: whatever comes, no connection subscribes to them again.
                self.purpose.obsolete.clear();
                self.unanswered.unsubscribe = false;
                self.begin_sending_once_answered();
            }
            _ => {}
        }
    }

    fn accepted(&mut self, packet: &ConnAck, client: &AsyncClient) {
        let properties = packet.properties.as_ref();
        let number = |value: Option<u32>, default| value.unwrap_or(default);
        let broker_window = properties.and_then(|properties| properties.receive_max).unwrap_or(u16::MAX);
        let window = broker_window.min(self.settings.publish_window);
        self.allowance = Allowance {
            retain: properties.and_then(|properties| properties.retain_available) != Some(0),
            packet_bytes: number(properties.and_then(|properties| properties.max_packet_size), u32::MAX),
        };
        self.connected_at = Some(Instant::now());
        let session_present = packet.session_present;
        info!(broker = self.settings.address(), session_present, window, "connected to the broker");
        if !self.allowance.retain {
            warn!("the broker retains no messages: those who come later see no forecast until the next one");
        }
        self.shared.statistics.connects.add(1);
        if session_present {
            self.shared.statistics.sessions_resumed.add(1);
            let generation = self.shared.acknowledgements().generation();
            self.shared.inbox().forget_before(generation);
        }
        self.window = usize::from(window);
        self.shared.tell(News::Connected { session_present });
        if session_present && !self.purpose.obsolete.is_empty() {
            self.unanswered.unsubscribe = true;
            if let Err(error) = client.try_unsubscribe_many(self.purpose.obsolete.iter()) {
                error!(%error, "unsubscription was not accepted");
            }
        }
        if self.purpose.wanted().next().is_some() || !self.purpose.live.is_empty() {
            self.unanswered.subscribe = true;
            let from_now_on = self.purpose.of_others.iter().chain(&self.purpose.live).map(|filter| {
                let mut filter = SubscribeFilter::new(filter.as_str(), QoS::AtLeastOnce);
                filter.retain_forward_rule = RetainForwardRule::Never;
                filter.nolocal = true;
                filter
            });
            let filters = self.purpose.subscriptions.iter().map(|filter| {
                let mut filter = SubscribeFilter::new(filter.as_str(), QoS::AtLeastOnce);
                // Without this, every connection would bring every retained reading again.
                filter.retain_forward_rule = RetainForwardRule::OnNewSubscribe;
                // Retain as published: who takes a retained message back is to be heard.
                filter.preserve_retain = true;
                filter
            });
            if let Err(error) = client.try_subscribe_many(filters.chain(from_now_on)) {
                error!(%error, "subscription was not accepted");
            }
        }
        self.begin_sending_once_answered();
    }

    /// The library lets a PUBLISH pass an earlier SUBSCRIBE. We are `online` when we listen, not before.
    fn begin_sending_once_answered(&self) {
        if self.unanswered.subscribe || self.unanswered.unsubscribe {
            return;
        }
        let online = self.purpose.status.as_ref().map(|status| status.message(&status.online));
        self.shared.outbox().connect(self.window, online, Instant::now());
        self.shared.progress.notify_waiters();
        self.shared.statistics.set_connected(true);
        self.shared.tell(News::Subscribed);
    }

    fn message(&mut self, publish: Publish, client: &AsyncClient) {
        let statistics = &self.shared.statistics;
        statistics.received.add(1);
        if publish.dup {
            statistics.redelivered.add(1);
        }
        let ticket = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => client.prepare_ack(&publish).map(|packet| {
                let mut acknowledgements = self.shared.acknowledgements();
                let ticket = acknowledgements.arrived(packet);
                statistics.unacknowledged.set(acknowledgements.owed() as u64);
                ticket
            }),
        };
        let give_up = || {
            if let Some(ticket) = ticket {
                self.shared.acknowledgements().complete(ticket);
            }
        };
        let Ok(topic) = String::from_utf8(publish.topic.to_vec()) else {
            statistics.dropped_topic.add(1);
            return give_up();
        };
        if publish.payload.len() > self.settings.max_packet_bytes as usize {
            statistics.dropped_oversized.add(1);
            if let Some(unsaid) = self.shared.may_log(Kind::OversizedMessage) {
                let bytes = publish.payload.len();
                warn!(topic, bytes, unsaid, "message is larger than mqtt.max_packet_bytes");
            }
            return give_up();
        }
        let message = Arrived { topic, payload: publish.payload, retain: publish.retain, ticket };
        if self.shared.inbox().push(message) {
            self.shared.arrived.notify_one();
        } else if ticket.is_none() {
            statistics.dropped_overflow.add(1);
        } else {
            self.overrun = true;
        }
    }

    fn published(&mut self, packet: &PubAck) {
        let Some(token) = self.on_their_way.remove(&packet.pkid) else {
            return;
        };
        match packet.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
                self.shared.statistics.publications_acknowledged.add(1);
                self.shared.outbox().settle(token);
            }
            reason => {
                let text =
                    packet.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
                self.refused(token, told(&reason, text));
            }
        }
        self.shared.progress.notify_waiters();
        self.count_in_flight();
    }

    /// The broker refused a message, or would: it is not sent again.
    fn refused(&mut self, token: u64, reason: String) {
        let topic = {
            let mut outbox = self.shared.outbox();
            let topic = outbox.topic(token);
            outbox.refuse(token);
            topic
        };
        self.shared.tell_refused(topic.as_deref().unwrap_or_default(), reason);
    }

    fn subscribed(&mut self, packet: &SubAck) {
        self.unanswered.subscribe = false;
        self.begin_sending_once_answered();
        let text = packet.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
        let mut refused = 0;
        for (filter, code) in self.purpose.wanted().zip(&packet.return_codes) {
            match code {
                SubscribeReasonCode::Success(QoS::AtMostOnce) => {
                    warn!(filter, "broker grants qos 0 only: readings may be lost");
                }
                SubscribeReasonCode::Success(_) => debug!(filter, "subscribed"),
                refusal => {
                    let reason = told(refusal, text);
                    error!(filter, reason, "broker refuses a subscription");
                    refused += 1;
                    self.shared.statistics.subscriptions_refused.add(1);
                    let filter = filter.clone();
                    self.shared.tell(News::Refused(Refusal::Subscription { filter, reason }));
                }
            }
        }
        self.shared.statistics.subscriptions_refused_now.set(refused);
        let answers = packet.return_codes.iter().skip(self.purpose.wanted().count());
        for (filter, code) in self.purpose.live.iter().zip(answers) {
            if !matches!(code, SubscribeReasonCode::Success(_)) {
                warn!(
                    filter,
                    reason = told(code, text),
                    "broker refuses a subscription that can be done without"
                );
            }
        }
    }
}

/// A reason code, and what the broker wrote beside it.
fn told(code: &impl std::fmt::Debug, text: Option<&str>) -> String {
    text.map_or_else(|| format!("{code:?}"), |text| format!("{code:?}: {}", foreign::shown(text)))
}

/// Sleeps until `time`, for ever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Waits until the end is asked for; gives the time by which it is to be done.
async fn stop_asked(stopped: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match stopped.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        // The handle is gone: at once.
        Err(_) => Instant::now(),
    }
}
