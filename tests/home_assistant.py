#!/usr/bin/env python3
"""Lets Home Assistant itself judge what it is told: run by tests/run with a Python that has the package homeassistant.

The discovery message goes through Home Assistant's own parser and schemas, every template through its own engine on the
payloads of the snapshots, and the weather entity of deploy/home-assistant through the schema of its template integration.
"""

import asyncio
import copy
import json
import logging
import re
import sys
import tempfile
from pathlib import Path

import yaml
from homeassistant.components.mqtt import discovery as mqtt_discovery
from homeassistant.components.mqtt import sensor as mqtt_sensor
from homeassistant.components.template import config as template_config
from homeassistant.components.template import weather as template_weather
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import template as templates
from homeassistant.util import dt

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "None"
faults = []


def snapshot(name):
    """The JSON of a reviewed snapshot."""
    text = (ROOT / "tests/snapshots" / f"{name}.snap").read_text()
    return json.loads(text.split("---\n", 2)[2])


def fresh_forecast():
    """The forecast of the snapshot, which is a stale one, as it was before."""
    forecast = snapshot("payload_forecast")
    assert forecast.pop("stale") is True
    return forecast


def expect(what, found, wanted):
    if found != wanted:
        faults.append(f"{what}: {found!r}, not {wanted!r}")


class Warnings(logging.Handler):
    """Home Assistant says in its log what it does not like."""

    def emit(self, record):
        faults.append(f"Home Assistant says: {record.getMessage()}")


def components(hass, message):
    """The sensors of a message, as Home Assistant takes them."""
    parsed = mqtt_discovery._parse_device_payload(hass, json.dumps(message), "roof", "forecastd")
    found = {}
    for key, component in parsed.get("components", {}).items():
        platform = component.pop("platform")
        expect(f"platform of {key}", platform, "sensor")
        if not component:
            found[key] = None
            continue
        component["device"], component["origin"] = parsed["device"], parsed["origin"]
        mqtt_discovery._merge_common_device_options(component, parsed)
        taken = mqtt_sensor.DISCOVERY_SCHEMA(copy.deepcopy(dict(component)))
        # The schema drops what it does not know: then a key is misspelt.
        expect(f"keys of {key} that are not known", set(component) - set(taken), set())
        found[key] = taken
    return found


def render(hass, template, payload):
    template = template if isinstance(template, templates.Template) else templates.Template(template, hass)
    template.hass = hass
    return template.async_render_with_possible_json_value(json.dumps(payload), error_value="ERROR")


def check_discovery(hass):
    message = snapshot("discovery")
    topic = "device/forecastd/roof/config"
    expect("topic", bool(mqtt_discovery.TOPIC_MATCHER.match(topic)), True)
    sensors = components(hass, message)
    expect("sensors", sorted(sensors), ["error", "frost_probability", "highest", "lowest", "skill", "status", "temperature_ahead"])
    unique_ids = {sensor["unique_id"] for sensor in sensors.values()}
    expect("unique ids", len(unique_ids), len(sensors))
    for key, sensor in sensors.items():
        expect(f"availability of {key}", sensor["availability_topic"], "forecast/status")

    forecast, verification, status = fresh_forecast(), snapshot("payload_verification"), snapshot("payload_status")
    payloads = {
        "forecast/roof/temperature": forecast,
        "forecast/roof/verification": verification,
        "forecast/roof/status": status,
    }

    def state(key, **changes):
        payload = payloads[sensors[key]["state_topic"]] | changes
        return render(hass, sensors[key]["value_template"], payload)

    # By hand from the snapshots: the lead of 24 h, lowest, highest and frost of the day, error and skill at 24 h.
    day = forecast["day_ahead"]
    of_24h = next(lead for lead in forecast["leads"] if lead["lead_h"] == 24)
    verified = next(lead for lead in verification["leads"] if lead["lead_h"] == 24)
    expect("temperature ahead", state("temperature_ahead"), str(of_24h["temperature_c"]))
    expect("lowest", state("lowest"), str(day["lowest_c"]))
    expect("highest", state("highest"), str(day["highest_c"]))
    expect("frost", state("frost_probability"), str(round(100 * day["frost_probability"], 1)))
    expect("error", state("error"), str(verified["mae_c"]))
    expect("skill", state("skill"), str(round(100 * verified["skill"], 1)))
    expect("status", state("status"), "warming_up")
    expect("words for states", set(sensors["status"]["options"]) >= {"ready", "warming_up", "stale"}, True)

    for key in ("temperature_ahead", "lowest", "highest", "frost_probability"):
        expect(f"{key} of a stale forecast", state(key, stale=True), UNKNOWN)
    for key in ("lowest", "highest", "frost_probability"):
        expect(f"{key} without a day ahead", state(key, day_ahead={}), UNKNOWN)
    no_day = {key: value for key, value in forecast.items() if key != "day_ahead"}
    expect("lowest while it warms up", render(hass, sensors["lowest"]["value_template"], no_day), UNKNOWN)
    expect("frost that is not known", state("frost_probability", day_ahead=day | {"frost_probability": None}), UNKNOWN)
    expect("temperature without its lead", state("temperature_ahead", leads=forecast["leads"][:1]), UNKNOWN)
    expect("error before a day has passed", state("error", leads=[]), UNKNOWN)
    expect("skill that is not known", state("skill", leads=[verified | {"skill": None}]), UNKNOWN)

    ahead = sensors["temperature_ahead"]
    attributes = json.loads(render(hass, ahead["json_attributes_template"], forecast))
    expect("attributes", attributes["valid_at"], of_24h["valid_at"])
    expect("attributes without an interval", attributes["low_c"], of_24h.get("low_c"))

    # What the model does not give is removed, and nothing else is needed for that.
    without = copy.deepcopy(message)
    without["components"]["lowest"] = {"platform": "sensor"}
    expect("a sensor that is taken away", components(hass, without)["lowest"], None)
    # That Home Assistant's judgement is asked at all.
    logging.disable(logging.CRITICAL)
    broken = copy.deepcopy(message)
    del broken["device"]
    expect("a message without a device", components(hass, broken), {})
    logging.disable(logging.NOTSET)
    return len(sensors)


def check_weather(hass):
    text = (ROOT / "deploy/home-assistant/weather.yaml").read_text()
    section = yaml.safe_load(text)["template"][0]
    config = template_config.CONFIG_SECTION_SCHEMA(section)
    expect("trigger", config["trigger"][0]["topic"], "forecast/roof/temperature")
    weather = config["weather"][0]
    forecast = fresh_forecast()
    hass.states.async_set("sun.sun", "above_horizon")

    def rendered(key, payload):
        template = weather[key]
        template.hass = hass
        return template.async_render({"trigger": {"payload_json": payload}})

    expect("condition", rendered("condition_template", forecast), "sunny")
    expect("condition is one of those there are", "sunny" in template_weather.CONDITION_CLASSES, True)
    expect("temperature", rendered("temperature_template", forecast), forecast["temperature_c"])
    # A trigger-based weather entity fails over a humidity that is no number.
    expect("humidity of no sensor", rendered("humidity_template", forecast), 0)
    hass.states.async_set("sensor.roof_humidity", "87.5")
    expect("humidity", rendered("humidity_template", forecast), 87.5)
    hours = rendered("forecast_hourly_template", forecast)
    expect("hours", [hour["datetime"] for hour in hours], [lead["valid_at"] for lead in forecast["leads"]])
    expect("temperatures", [hour["temperature"] for hour in hours], [lead["temperature_c"] for lead in forecast["leads"]])
    for hour in hours:
        unknown = set(hour) - template_weather.CHECK_FORECAST_KEYS
        expect("keys of an hour that are not known", unknown, set())
        expect("time of an hour", dt.parse_datetime(hour["datetime"]).tzinfo is not None, True)
    expect("hours of a stale forecast", rendered("forecast_hourly_template", forecast | {"stale": True}), [])
    return len(hours)


async def main():
    logging.getLogger("homeassistant").addHandler(Warnings(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        hass = HomeAssistant(folder)
        sensors = check_discovery(hass)
        hours = check_weather(hass)
        await hass.async_stop(force=True)
    for fault in faults:
        print(f"FAULT: {fault}")
    if not faults:
        print(f"Home Assistant {__version__} takes {sensors} sensors and a weather entity with {hours} hours")
    return 1 if faults else 0


sys.exit(asyncio.run(main()))
