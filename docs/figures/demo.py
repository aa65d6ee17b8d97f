#!/usr/bin/env python3
"""Films the page of the demo: docs/demo.webp.

    pip install pillow; apt install chromium chromium-driver
    docs/figures/demo.py [--binary target/release/forecastd] [--csv RECORD] [--frames FOLDER]

Starts `forecastd demo`, opens its page in a browser without a window, and takes a picture after each reading, an hour of the
record. Nothing is drawn by hand: what is seen is what the page shows. --frames keeps the single pictures.
"""

import argparse
import base64
import io
import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

from PIL import Image

OUT = Path(__file__).parent.parent / "demo.webp"

# Half a day and more, so that a night is seen from afar and when it has come.
FRAMES = 30
# An hour of the record takes so long, which is enough to see it and take its picture.
SECONDS_AN_HOUR = 2
WIDTH, HEIGHT = 720, 960
# Milliseconds a picture is shown, and the last one.
SHOWN, SHOWN_LAST = 450, 2500
LIMIT = 1_000_000


class Browser:
    """A browser without a window, by the WebDriver protocol."""

    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                break
        self.base = f"http://127.0.0.1:{found[1]}"
        arguments = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--lang=en-GB"]
        options = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}
        session = self.post("/session", {"capabilities": {"alwaysMatch": options}})
        self.base += f"/session/{session['sessionId']}"
        self.command("Emulation.setDeviceMetricsOverride",
                     {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False})
        self.command("Emulation.setLocaleOverride", {"locale": "en-GB"})
        self.command("Emulation.setTimezoneOverride", {"timezoneId": "Europe/Berlin"})

    def post(self, path, body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def command(self, name, parameters):
        return self.post("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def run(self, script):
        return self.post("/execute/sync", {"script": script, "args": []})

    def picture(self):
        data = self.command("Page.captureScreenshot", {"format": "png"})["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def close(self):
        urllib.request.urlopen(urllib.request.Request(self.base, method="DELETE"), timeout=60)
        self.driver.terminate()


def address_of(demo):
    """The page's address, which the demo says first."""
    for line in demo.stdout:
        if found := re.search(r"http://\S+", line):
            return found[0]
    raise SystemExit("the demo has ended without an address")


def until(found, patience=120):
    end = time.monotonic() + patience
    while not (value := found()):
        if time.monotonic() > end:
            raise SystemExit("the page does not show what was waited for")
        time.sleep(0.1)
    return value


def film(browser):
    text = "return document.querySelector('main').innerText"
    # The beginning of the record has been replayed and can be looked back on; then the page is opened as somebody would.
    until(lambda: "closer than" in browser.run(text))
    browser.post("/refresh", {})
    until(lambda: all(part in browser.run(text) for part in ("In 24 hours", "closer than", "The last week")))
    frames, before = [], None
    while len(frames) < FRAMES:
        before = until(lambda: (now := browser.run(text)) != before and now)
        # The rest of what this reading brings: events are collected for a quarter of a second.
        time.sleep(SECONDS_AN_HOUR / 4)
        before = browser.run(text)
        frames.append(browser.picture())
    return frames


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", default="target/release/forecastd")
    arguments.add_argument("--csv")
    arguments.add_argument("--frames", type=Path)
    chosen = arguments.parse_args()
    record = ["--csv", chosen.csv] if chosen.csv else []
    command = [chosen.binary, "demo", "--speed", str(3600 // SECONDS_AN_HOUR), *record]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    browser = Browser()
    try:
        browser.post("/url", {"url": address_of(demo)})
        frames = film(browser)
    finally:
        browser.close()
        demo.terminate()
    if chosen.frames:
        chosen.frames.mkdir(exist_ok=True)
        for index, frame in enumerate(frames):
            frame.save(chosen.frames / f"{index:02}.png")
    durations = [SHOWN] * (len(frames) - 1) + [SHOWN_LAST]
    frames[0].save(OUT, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=70,
                   method=6, minimize_size=True)
    size = OUT.stat().st_size
    print(f"{OUT.name}: {len(frames)} pictures, {size // 1000} kB")
    if size > LIMIT:
        raise SystemExit(f"{OUT.name} is larger than {LIMIT // 1000} kB")


if __name__ == "__main__":
    main()
