//! A broker that does what the test tells it, packet by packet: for what a real one does not show.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A packet from the client: the first byte of its fixed header, and what follows the length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Type and flags.
    pub head: u8,
    /// Variable header and payload.
    pub body: Vec<u8>,
}

impl Packet {
    /// The packet type of MQTT 5, table 2-1.
    pub fn kind(&self) -> u8 {
        self.head >> 4
    }
}

/// A PUBLISH at QoS 1 from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The topic that the client published on.
    pub topic: String,
    /// The packet identifier.
    pub identifier: u16,
    /// Whether the broker is to keep it.
    pub retain: bool,
    /// The properties, raw.
    pub properties: Vec<u8>,
    /// The payload, behind the properties.
    pub payload: Vec<u8>,
}

impl Published {
    /// Takes a packet apart whose properties have less than 128 bytes.
    pub fn parse(packet: &Packet) -> Published {
        let body = &packet.body;
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let (topic, rest) = body[2..].split_at(length);
        let properties = usize::from(rest[2]);
        Published {
            topic: String::from_utf8(topic.to_vec()).unwrap(),
            identifier: u16::from_be_bytes([rest[0], rest[1]]),
            retain: packet.head & 1 == 1,
            properties: rest[3..3 + properties].to_vec(),
            payload: rest[3 + properties..].to_vec(),
        }
    }
}

/// One connection of the client.
pub struct Client(TcpStream);

/// Listens on a free port of 127.0.0.1.
pub async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Takes a connection and its CONNECT, and answers with `properties` (raw bytes) in the CONNACK.
pub async fn accept(listener: &TcpListener, session_present: bool, properties: &[u8]) -> (Client, Packet) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut client = Client(stream);
    let connect = client.read().await;
    assert_eq!(connect.kind(), 1);
    let length = u8::try_from(properties.len()).unwrap();
    client.write(0x20, &[&[u8::from(session_present), 0, length], properties].concat()).await;
    (client, connect)
}

impl Client {
    /// The next packet.
    pub async fn read(&mut self) -> Packet {
        tokio::time::timeout(Duration::from_secs(20), self.read_now()).await.expect("no packet came")
    }

    async fn read_now(&mut self) -> Packet {
        self.read_or_end().await.expect("the client closes the connection")
    }

    /// The next packet; nothing once the client has closed the connection.
    async fn read_or_end(&mut self) -> Option<Packet> {
        let head = self.0.read_u8().await.ok()?;
        let mut length = 0_usize;
        for shift in [0, 7, 14, 21] {
            let byte = self.0.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Packet { head, body })
    }

    /// Answers signs of life, and nothing else, until the client closes the connection; gives what else it sent.
    pub async fn neglect(&mut self) -> Vec<Packet> {
        let mut seen = Vec::new();
        while let Some(packet) = self.read_or_end().await {
            if packet.kind() == 12 {
                // The client may be gone by now; the next read tells.
                let _ = self.0.write_all(&[0xd0, 0]).await;
            } else {
                seen.push(packet);
            }
        }
        seen
    }

    /// Takes a SUBSCRIBE, and grants each of so many filters QoS 1.
    pub async fn grant(&mut self, filters: usize) -> Packet {
        let subscribe = self.read_kind(8).await;
        let granted = vec![1; filters];
        self.write(0x90, &[&[subscribe.body[0], subscribe.body[1], 0], granted.as_slice()].concat()).await;
        subscribe
    }

    /// Takes a PUBLISH at QoS 1 and does not acknowledge it.
    pub async fn read_publish(&mut self) -> Published {
        loop {
            let packet = self.read().await;
            if packet.kind() == 3 {
                return Published::parse(&packet);
            }
        }
    }

    /// Acknowledges a PUBLISH.
    pub async fn acknowledge(&mut self, published: &Published) {
        self.write(0x40, &published.identifier.to_be_bytes()).await;
    }

    /// Answers a PUBLISH with a reason code of MQTT 5, table 3-4, that is none of success.
    pub async fn refuse(&mut self, published: &Published, reason: u8) {
        let [high, low] = published.identifier.to_be_bytes();
        self.write(0x40, &[high, low, reason]).await;
    }

    /// The next packet of a kind; others are passed over, PUBLISH at QoS 1 acknowledged.
    pub async fn read_kind(&mut self, kind: u8) -> Packet {
        loop {
            let packet = self.read().await;
            if packet.kind() == kind {
                return packet;
            }
            if packet.kind() == 3 {
                let topic = usize::from(u16::from_be_bytes([packet.body[0], packet.body[1]]));
                let identifier = [packet.body[2 + topic], packet.body[3 + topic]];
                self.write(0x40, &identifier).await;
            }
        }
    }

    /// Sends a packet.
    pub async fn write(&mut self, head: u8, body: &[u8]) {
        self.0.write_all(&packet(head, body)).await.unwrap();
    }

    /// Sends a message at QoS 1.
    pub async fn publish(&mut self, topic: &str, identifier: u16, payload: &[u8]) {
        let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        let body = [&length, topic.as_bytes(), &identifier.to_be_bytes(), &[0], payload].concat();
        self.write(0x32, &body).await;
    }

    /// Sends a message at QoS 0 again and again, as fast as the client takes it, until it goes.
    pub async fn flood(mut self, topic: &str, payload: &[u8]) {
        let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        let body = [&length, topic.as_bytes(), &[0], payload].concat();
        let packet = packet(0x30, &body);
        while self.0.write_all(&packet).await.is_ok() {}
    }

    /// Whether the client closes the connection.
    pub async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(20), self.0.read_to_end(&mut rest)).await.is_ok()
    }
}

/// The bytes of a packet (MQTT 5, section 2.1).
fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![head];
    let mut length = body.len();
    loop {
        let more = if length > 0x7f { 0x80 } else { 0 };
        bytes.push((length & 0x7f) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}
