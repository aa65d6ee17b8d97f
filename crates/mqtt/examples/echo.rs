//! Publishes every message that arrives on `in/#` again on `out`, and acknowledges it once the broker has taken that: over any number
//! of lost connections nothing is lost.
//!
//! ```text
//! cargo run -p forecastd-mqtt --example echo -- HOST
//! ```

use std::time::Duration;

use forecastd_mqtt::{Message, MqttSettings, Purpose, Session, SessionEvent};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = std::env::args().nth(1).unwrap_or_else(|| "localhost".to_owned());
    let settings = MqttSettings { host, client_id: "echo".to_owned(), ..MqttSettings::default() };
    let purpose = Purpose::subscribing(vec!["in/#".to_owned()]);
    let (publisher, mut inbox, session) = Session::start(&settings, purpose)?;
    loop {
        let event = tokio::select! {
            event = inbox.recv() => event,
            _ = tokio::signal::ctrl_c() => None,
        };
        match event {
            Some(SessionEvent::Message(incoming)) => {
                let number = publisher.publish(Message::new("out", incoming.payload))?;
                publisher.wait_settled(number + 1).await?;
                incoming.acknowledgement.complete();
            }
            Some(SessionEvent::News(news)) => eprintln!("{news:?}"),
            None => break,
        }
    }
    session.stop(Duration::from_secs(3)).await;
    Ok(())
}
