//! Why a connection ended, or an attempt to connect failed.

use std::fmt;
use std::time::Duration;

use strum::{EnumDiscriminants, IntoStaticStr, VariantNames};

/// Why a connection ended, or an attempt to connect failed.
#[derive(Debug, Clone, PartialEq, Eq, EnumDiscriminants, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
#[strum_discriminants(name(DisconnectKind), vis(pub(crate)))]
pub enum DisconnectReason {
    /// Nobody listens at the address, or the way there is closed: what the system says.
    Unreachable(String),
    /// The broker did not answer in time.
    Timeout,
    /// User name or password are wrong, or the client may not connect.
    Unauthorized(String),
    /// The broker refused the connection for another reason.
    Refused(String),
    /// No TLS connection came about.
    Tls(String),
    /// The broker closed the connection without a word, or the network broke.
    Closed(String),
    /// The broker is shutting down.
    ServerShutdown,
    /// Another client came with the same client id.
    SessionTakenOver,
    /// The broker ended the connection for another reason.
    ServerDisconnect(String),
    /// A packet larger than agreed.
    PacketTooLarge(String),
    /// The broker or we broke the protocol.
    Protocol(String),
    /// The broker sent more ahead of our acknowledgements than there is room for; it sends it again.
    Overrun,
    /// A publication was not acknowledged within this time (`mqtt.acknowledge_timeout_s`); what was not acknowledged is
    /// sent again.
    Unacknowledged(Duration),
    /// The broker did not answer our subscriptions within this time (`mqtt.connect_timeout_s`).
    NotSubscribed(Duration),
    /// The broker speaks another version of MQTT than 5.
    ProtocolVersion(String),
}

impl DisconnectReason {
    /// Every label, so that counters can be exported as 0 from the start.
    pub const LABELS: &'static [&'static str] = <DisconnectReason as VariantNames>::VARIANTS;

    /// The place of [`DisconnectReason::label`] in [`DisconnectReason::LABELS`].
    pub(crate) fn index(&self) -> usize {
        DisconnectKind::from(self) as usize
    }

    /// The reason as a metric's label.
    pub fn label(&self) -> &'static str {
        self.into()
    }

    /// Whether the broker is there and does not do its work: more than a network that breaks.
    pub(crate) fn is_neglect(&self) -> bool {
        matches!(self, DisconnectReason::Unacknowledged(_) | DisconnectReason::NotSubscribed(_))
    }

    /// Whether waiting alone will not help: a person has to change the configuration.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            DisconnectReason::Unauthorized(_)
                | DisconnectReason::Refused(_)
                | DisconnectReason::Tls(_)
                | DisconnectReason::SessionTakenOver
                | DisconnectReason::ProtocolVersion(_)
        )
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisconnectReason::Unreachable(detail) => write!(formatter, "broker cannot be reached: {detail}"),
            DisconnectReason::Timeout => formatter.write_str("broker does not answer"),
            DisconnectReason::Unauthorized(detail) => {
                write!(formatter, "broker refuses user name or password: {detail}")
            }
            DisconnectReason::Refused(detail) => write!(formatter, "broker refuses the connection: {detail}"),
            DisconnectReason::Tls(detail) => write!(formatter, "no tls connection: {detail}"),
            DisconnectReason::Closed(detail) => write!(formatter, "connection lost: {detail}"),
            DisconnectReason::ServerShutdown => formatter.write_str("broker is shutting down"),
            DisconnectReason::SessionTakenOver => {
                formatter.write_str("another client connected with the same client id")
            }
            DisconnectReason::ServerDisconnect(detail) => {
                write!(formatter, "broker ended the connection: {detail}")
            }
            DisconnectReason::PacketTooLarge(detail) => write!(formatter, "packet too large: {detail}"),
            DisconnectReason::Protocol(detail) => write!(formatter, "protocol error: {detail}"),
            DisconnectReason::Overrun => formatter.write_str(
                "broker sent more ahead of our acknowledgements than there is room for; it will send it again",
            ),
            DisconnectReason::Unacknowledged(limit) => write!(
                formatter,
                "broker did not acknowledge a publication within {} s; it will be sent again",
                limit.as_secs_f32()
            ),
            DisconnectReason::NotSubscribed(limit) => {
                write!(formatter, "broker did not answer the subscription within {} s", limit.as_secs_f32())
            }
            DisconnectReason::ProtocolVersion(detail) => {
                write!(formatter, "broker does not speak mqtt 5: {detail}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_own_label() {
        let detail = String::new;
        let limit = Duration::ZERO;
        let reasons = [
            (DisconnectReason::Unreachable(detail()), "unreachable"),
            (DisconnectReason::Timeout, "timeout"),
            (DisconnectReason::Unauthorized(detail()), "unauthorized"),
            (DisconnectReason::Refused(detail()), "refused"),
            (DisconnectReason::Tls(detail()), "tls"),
            (DisconnectReason::Closed(detail()), "closed"),
            (DisconnectReason::ServerShutdown, "server_shutdown"),
            (DisconnectReason::SessionTakenOver, "session_taken_over"),
            (DisconnectReason::ServerDisconnect(detail()), "server_disconnect"),
            (DisconnectReason::PacketTooLarge(detail()), "packet_too_large"),
            (DisconnectReason::Protocol(detail()), "protocol"),
            (DisconnectReason::Overrun, "overrun"),
            (DisconnectReason::Unacknowledged(limit), "unacknowledged"),
            (DisconnectReason::NotSubscribed(limit), "not_subscribed"),
            (DisconnectReason::ProtocolVersion(detail()), "protocol_version"),
        ];
        assert_eq!(
            DisconnectReason::LABELS,
            reasons.each_ref().map(|(_, label)| *label),
            "as metrics have them"
        );
        for (reason, label) in &reasons {
            assert_eq!((reason.label(), DisconnectReason::LABELS[reason.index()]), (*label, *label));
        }
    }
}
