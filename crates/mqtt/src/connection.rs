//! One connection to the broker. The client library is spoken to here and nowhere else.
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
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AckMode, AsyncClient, ConnAck, ConnectProperties, ConnectReturnCode, ConnectionError,
    DisconnectReasonCode, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet,
    PersistedAckMode, PersistedSession, PubAck, PubAckReason, Publish, PublishOptions, QoS,
    RetainForwardRule, SessionStore, SessionStoreError, SessionStoreKey, StateError, SubAck, SubscribeFilter,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::inbox::Refusal;
use super::session::{Shared, Status};
use super::{DisconnectReason, MqttSettings, SessionEvent};

/// Requests and packets that the library handles between two flushes. Nothing waits for a batch to fill.
const BATCH: usize = 64;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// It was lost, or never came about.
    Lost {
        /// Why.
        reason: DisconnectReason,
        /// How long it had lasted.
        lasted: Duration,
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

/// What the broker allows on this connection.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    retain: bool,
    packet_bytes: u32,
}

/// One connection, from before the attempt until its end.
pub(super) struct Connection<'a> {
    shared: &'a Arc<Shared>,
    settings: &'a MqttSettings,
    status: Option<&'a Status>,
    subscriptions: &'a [String],
    stage: Stage,
    connected_at: Option<Instant>,
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
    pub fn new(
        shared: &'a Arc<Shared>,
        settings: &'a MqttSettings,
        status: Option<&'a Status>,
        subscriptions: &'a [String],
    ) -> Connection<'a> {
        Connection {
            shared,
            settings,
            status,
            subscriptions,
            stage: Stage::Serving,
            connected_at: None,
            allowance: Allowance { retain: true, packet_bytes: u32::MAX },
            window: 1,
            handed_over: VecDeque::new(),
            on_their_way: HashMap::new(),
            overrun: false,
        }
    }

    /// Connects and serves the connection until it ends.
    pub async fn serve(mut self, stopped: &mut watch::Receiver<Option<Instant>>) -> End {
        self.shared.statistics.attempts.add(1);
        let options = match options(self.settings, self.status) {
            Ok(options) => options,
            Err(reason) => return self.lost(reason),
        };
        let (client, mut event_loop) = match AsyncClient::builder(options).unbounded().try_build() {
            Ok(pair) => pair,
            Err(error) => return self.lost(DisconnectReason::Protocol(error.to_string())),
        };
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
        let lasted = self.connected_at.map_or(Duration::ZERO, |since| since.elapsed());
        End::Lost { reason, lasted }
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
        let mut sent = false;
        loop {
            let next = self.shared.outbox().take();
            let Some((token, message)) = next else { break };
            sent = true;
            if let Stage::Leaving(None) = self.stage
                && self.status.is_some_and(|status| {
                    *status.topic == *message.topic && status.offline == message.payload
                })
            {
                self.stage = Stage::Leaving(Some(token));
            }
            // fixed header, topic length, packet identifier, property length
            let packet_bytes = 5 + 2 + message.topic.len() + 2 + 1 + message.payload.len();
            if packet_bytes > self.allowance.packet_bytes as usize {
                let reason = format!(
                    "{packet_bytes} bytes are more than the broker takes ({})",
                    self.allowance.packet_bytes
                );
                self.refused(token, reason);
                continue;
            }
            let options =
                PublishOptions::new(QoS::AtLeastOnce).retain(message.retain && self.allowance.retain);
            match client.try_publish(message.topic.as_ref(), message.payload, options) {
                Ok(()) => {
                    self.handed_over.push_back(token);
                    self.shared.statistics.sent.add(1);
                }
                Err(error) => self.refused(token, error.to_string()),
            }
        }
        if sent {
            self.shared.progress.notify_waiters();
            self.count_in_flight();
        }
        self.advance_the_end(client);
    }

    fn count_in_flight(&self) {
        self.shared.statistics.in_flight.set(self.shared.outbox().pending() as u64);
    }

    fn advance_the_end(&mut self, client: &AsyncClient) {
        let idle = || self.shared.outbox().is_idle();
        if matches!(self.stage, Stage::Draining(_)) && idle() {
            self.leave();
            self.shared.wake.notify_one();
        } else if matches!(self.stage, Stage::Leaving(None)) && self.status.is_none() {
            self.say_goodbye(client);
        } else if let Stage::Leaving(Some(token)) = self.stage
            && self.shared.outbox().topic(token).is_none()
        {
            self.say_goodbye(client);
        }
    }

    /// Hands in `offline`, before all that still waits.
    fn leave(&mut self) {
        self.stage = Stage::Leaving(None);
        if let Some(status) = self.status {
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
        self.shared.tell(SessionEvent::Connected { session_present });
        if self.subscriptions.is_empty() {
            self.begin_sending();
        } else {
            let filters = self.subscriptions.iter().map(|filter| {
                let mut filter = SubscribeFilter::new(filter.as_str(), QoS::AtLeastOnce);
                // Without this, every connection would bring every retained reading again.
                filter.retain_forward_rule = RetainForwardRule::OnNewSubscribe;
                filter
            });
            if let Err(error) = client.try_subscribe_many(filters) {
                error!(%error, "subscription was not accepted");
            }
        }
    }

    /// The library lets a PUBLISH pass an earlier SUBSCRIBE. We are `online` when we listen, not before.
    fn begin_sending(&self) {
        let online = self.status.map(|status| status.message(&status.online));
        self.shared.outbox().connect(self.window, online);
        self.shared.progress.notify_waiters();
        self.shared.statistics.set_connected(true);
        self.shared.tell(SessionEvent::Subscribed);
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
            warn!(topic, bytes = publish.payload.len(), "message is larger than mqtt.max_packet_bytes");
            return give_up();
        }
        if self.shared.inbox().push(topic, publish.payload, publish.retain, ticket) {
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
            reason => self.refused(token, format!("{reason:?}")),
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
        self.begin_sending();
        let mut refused = 0;
        for (filter, code) in self.subscriptions.iter().zip(&packet.return_codes) {
            match code {
                SubscribeReasonCode::Success(QoS::AtMostOnce) => {
                    warn!(filter, "broker grants qos 0 only: readings may be lost");
                }
                SubscribeReasonCode::Success(_) => debug!(filter, "subscribed"),
                refusal => {
                    let reason = format!("{refusal:?}");
                    error!(filter, reason, "broker refuses a subscription");
                    refused += 1;
                    self.shared.statistics.subscriptions_refused.add(1);
                    let filter = filter.clone();
                    self.shared.tell(SessionEvent::Refused(Refusal::Subscription { filter, reason }));
                }
            }
        }
        self.shared.statistics.subscriptions_refused_now.set(refused);
    }
}

/// Sleeps until `time`, for ever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn options(settings: &MqttSettings, status: Option<&Status>) -> Result<MqttOptions, DisconnectReason> {
    let mut options = MqttOptions::new(settings.client_id.clone(), (settings.host.clone(), settings.port()));
    if settings.tls {
        let tls = |detail: String| DisconnectReason::Tls(detail);
        let configuration = match &settings.ca_file {
            Some(path) => {
                let ca = std::fs::read(path)
                    .map_err(|error| tls(format!("mqtt.ca_file {}: {error}", path.display())))?;
                TlsConfiguration::Simple { ca, alpn: None, client_auth: None }
            }
            None => TlsConfiguration::try_default_rustls().map_err(|error| tls(error.to_string()))?,
        };
        options.set_transport(Transport::Tls(configuration));
    }
    let password =
        settings.resolve_password().map_err(|error| DisconnectReason::Unauthorized(error.to_string()))?;
    match (&settings.username, password) {
        (Some(name), Some(password)) => {
            options.set_credentials(name.clone(), password.reveal().to_owned());
        }
        (Some(name), None) => {
            options.set_username(name.clone());
        }
        (None, _) => {}
    }
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(settings.session_expiry_s);
    properties.receive_maximum = Some(settings.receive_maximum);
    properties.max_packet_size = Some(settings.largest_packet_bytes());
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(settings.connect_timeout_s);
    options
        .set_connect_properties(properties)
        .set_keep_alive(settings.keep_alive_s)
        .set_clean_start(false)
        .set_outgoing_inflight_upper_limit(settings.publish_window)
        .set_ack_mode(AckMode::Manual)
        .set_connect_timeout(Duration::from_secs(settings.connect_timeout_s))
        .set_max_request_batch(BATCH)
        .set_read_batch_size(BATCH)
        .set_network_options(network)
        .set_session_store(FreshSession(
            settings.client_id.clone(),
            settings.session_expiry_s,
            settings.publish_window,
        ));
    if let Some(status) = status {
        options.set_last_will(LastWill::new(
            status.topic.clone(),
            status.offline.to_vec(),
            QoS::AtLeastOnce,
            true,
            None,
        ));
    }
    Ok(options)
}

/// Tells the library that our side of the session holds nothing, which at QoS 1 it need not.
#[derive(Debug)]
struct FreshSession(String, u32, u16);

/// What the library's trait wants returned; it does not export its own alias.
type SessionStoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for FreshSession {
    fn load<'a>(&'a self, _: &'a SessionStoreKey) -> SessionStoreFuture<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: self.0.clone(),
            clean_start: false,
            session_expiry_interval: Some(self.1),
            outgoing_inflight_upper_limit: Some(self.2),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(std::future::ready(Ok(Some(session))))
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> SessionStoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> SessionStoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
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

/// What an error of the library means.
fn reason(error: &ConnectionError, connected: bool) -> DisconnectReason {
    match error {
        ConnectionError::Timeout(_) | ConnectionError::DisconnectTimeout => DisconnectReason::Timeout,
        ConnectionError::Io(error) => broken(error, connected),
        ConnectionError::Tls(error) => DisconnectReason::Tls(error.to_string()),
        ConnectionError::ConnectionRefused(code) => refusal(*code),
        ConnectionError::MqttState(error) => match error {
            StateError::Io(error) => broken(error, connected),
            StateError::AwaitPingResp => DisconnectReason::Timeout,
            StateError::ConnectionAborted => DisconnectReason::Closed("closed by the broker".to_owned()),
            StateError::Deserialization(rumqttc::Error::Io(error)) => broken(error, connected),
            StateError::ConnFail { reason } => refusal(*reason),
            StateError::IncomingPacketTooLarge { .. } | StateError::OutgoingPacketTooLarge { .. } => {
                DisconnectReason::PacketTooLarge(error.to_string())
            }
            StateError::ServerDisconnect { reason_code, reason_string } => {
                farewell(*reason_code, reason_string.as_deref())
            }
            other => DisconnectReason::Protocol(other.to_string()),
        },
        other => DisconnectReason::Protocol(other.to_string()),
    }
}

fn broken(error: &io::Error, connected: bool) -> DisconnectReason {
    let detail = error.to_string();
    if connected {
        DisconnectReason::Closed(detail)
    } else if error.kind() == io::ErrorKind::TimedOut {
        DisconnectReason::Timeout
    } else {
        DisconnectReason::Unreachable(detail)
    }
}

fn refusal(code: ConnectReturnCode) -> DisconnectReason {
    let detail = format!("{code:?}");
    match code {
        ConnectReturnCode::BadUserNamePassword
        | ConnectReturnCode::NotAuthorized
        | ConnectReturnCode::BadAuthenticationMethod
        | ConnectReturnCode::Banned => DisconnectReason::Unauthorized(detail),
        _ => DisconnectReason::Refused(detail),
    }
}

fn farewell(code: DisconnectReasonCode, text: Option<&str>) -> DisconnectReason {
    let detail = text.map_or_else(|| format!("{code:?}"), |text| format!("{code:?}: {text}"));
    match code {
        DisconnectReasonCode::ServerShuttingDown => DisconnectReason::ServerShutdown,
        DisconnectReasonCode::SessionTakenOver => DisconnectReason::SessionTakenOver,
        DisconnectReasonCode::PacketTooLarge => DisconnectReason::PacketTooLarge(detail),
        DisconnectReasonCode::KeepAliveTimeout => DisconnectReason::Timeout,
        DisconnectReasonCode::NotAuthorized => DisconnectReason::Unauthorized(detail),
        _ => DisconnectReason::ServerDisconnect(detail),
    }
}
