//! A headless Chromium, driven as W3C WebDriver says: what a person sees, and what the console says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::patience::until;

/// So long a command of the driver may take.
const COMMAND: Duration = Duration::from_secs(60);

/// How the window is, and what its owner likes.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Width of the window, in CSS pixels.
    pub width: u32,
    /// Height of the window, in CSS pixels.
    pub height: u32,
    /// Whether its owner likes it dark.
    pub is_dark: bool,
    /// Pixels of the screen to one of CSS.
    pub scale: u32,
}

/// A window as on a desk.
pub const DESK: Look = Look { width: 1100, height: 900, is_dark: false, scale: 1 };
/// A narrow phone.
pub const PHONE: Look = Look { width: 360, height: 740, is_dark: false, scale: 2 };

/// A browser with one window. It is ended with this value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Keeps the pipe open: a driver that nobody reads from ends.
    _output: BufReader<std::process::ChildStdout>,
}

/// Why there is no browser.
fn missing(program: &str) -> ! {
    panic!("{program} is not installed (Debian: apt-get install chromium chromium-driver)")
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When Chromium or its driver is not installed.
    pub fn start(look: Look) -> Browser {
        let driver =
            Command::new("chromedriver").arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let Ok(mut driver) = driver else { missing("chromedriver") };
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "chromedriver ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').parse().unwrap();
            }
        };
        let mut browser = Browser { driver, port, session: String::new(), _output: output };
        let arguments = [
            "--headless=new".to_owned(),
            // As root, in a container: what is shown is our own page.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--lang=en-GB".to_owned(),
            format!("--force-device-scale-factor={}", look.scale),
            format!("--window-size={},{}", look.width.max(500), look.height),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.post("/session", &capabilities);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        // A window has a least width; what is emulated has none.
        browser.command(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": look.width, "height": look.height, "deviceScaleFactor": look.scale, "mobile": look.width < 500}),
        );
        browser.command("Emulation.setLocaleOverride", json!({"locale": "en-GB"}));
        browser.command("Emulation.setTimezoneOverride", json!({"timezoneId": "Europe/Berlin"}));
        let scheme = if look.is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.command("Emulation.setEmulatedMedia", features);
        browser
    }

    /// A command of the protocol beneath.
    pub fn command(&self, name: &str, parameters: Value) -> Value {
        self.post(&format!("{}/goog/cdp/execute", self.session), &json!({"cmd": name, "params": parameters}))
    }

    /// Goes to an address.
    pub fn go(&self, address: &str) {
        self.post(&format!("{}/url", self.session), &json!({"url": address}));
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.post(&format!("{}/execute/sync", self.session), &json!({"script": script, "args": []}))
    }

    /// What a script says to its last argument, sooner or later.
    pub fn run_to_the_end(&self, script: &str) -> Value {
        self.post(&format!("{}/execute/async", self.session), &json!({"script": script, "args": []}))
    }

    /// The text of the page as it is shown.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows a text.
    pub async fn shows(&self, text: &str) {
        let what = || format!("{text:?} on the page:\n{}\n{:#?}", self.text(), self.console());
        until(what, || self.text().contains(text).then_some(())).await;
    }

    /// Waits until a script returns `true`.
    pub async fn reaches(&self, script: &str) {
        let what = || format!("{script} on the page:\n{}", self.text());
        until(what, || (self.run(script) == true).then_some(())).await;
    }

    /// What the console was told since it was looked at last.
    pub fn console(&self) -> Vec<String> {
        let entries = self.post(&format!("{}/se/log", self.session), &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// Presses a key where the focus is, such as `ArrowRight`.
    pub fn press(&self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.command("Input.dispatchKeyEvent", json!({"type": kind, "key": key, "code": key}));
        }
    }

    /// The whole page as a PNG.
    pub fn picture(&self) -> Vec<u8> {
        self.picture_down_to("return Math.ceil(document.documentElement.scrollHeight)")
    }

    /// The page as a PNG, from its top to the end of the first card.
    pub fn picture_of_the_first_card(&self) -> Vec<u8> {
        let end = "document.querySelector('section.card').getBoundingClientRect().bottom + window.scrollY";
        self.picture_down_to(&format!("return Math.ceil({end}) + 16"))
    }

    fn picture_down_to(&self, script: &str) -> Vec<u8> {
        let height = self.run(script).as_u64().unwrap();
        let width = self.run("return document.documentElement.clientWidth").as_u64().unwrap();
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let shot = self.command(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
        );
        decode_base64(shot["data"].as_str().unwrap())
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, &body.to_string())
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Value {
        let answer: Value = serde_json::from_slice(&self.send(method, path, body).unwrap()).unwrap();
        let value = answer["value"].clone();
        assert!(value["error"].is_null(), "chromedriver: {}: {}", value["error"], value["message"]);
        value
    }

    /// The body of the answer. The driver keeps the connection open, whatever it is asked.
    fn send(&self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(COMMAND))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(0);
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        Ok(body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without a goodbye the driver leaves its browser behind.
        let _ = self.send("DELETE", &self.session, "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// RFC 4648, section 4.
fn decode_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'=').map(value).collect();
    let group = |group: &[u8]| {
        let bits =
            group.iter().enumerate().map(|(at, &digit)| u32::from(digit) << (18 - 6 * at)).sum::<u32>();
        let [_, bytes @ ..] = bits.to_be_bytes();
        bytes[..group.len() - 1].to_vec()
    };
    digits.chunks(4).filter(|chunk| chunk.len() > 1).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::decode_base64;

    #[test]
    fn the_examples_of_rfc_4648_are_decoded() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(decode_base64(text), bytes.as_bytes(), "{text}");
        }
        assert_eq!(decode_base64("+/8="), [0xfb, 0xff]);
    }
}
