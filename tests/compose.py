#!/usr/bin/env python3
"""Checks deploy/compose.yaml: what docker compose itself does not demand, and without its plugin that it can be read."""

import re
import sys
from pathlib import Path

import yaml

path = Path(sys.argv[1])
compose = yaml.safe_load(path.read_text())
faults = []
for name, service in compose["services"].items():
    if not {"image", "build"} & service.keys():
        faults.append(f"{name} has neither image nor build")
    for key in ("healthcheck", "restart"):
        if key not in service:
            faults.append(f"{name} has no {key}")
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            faults.append(f"{name}: port {port} is open to the network")
    for volume in service.get("volumes", []):
        # What the environment may replace: ${NAME:-default}.
        source, *_ = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")
        if source.startswith(".") and not (path.parent / source).exists():
            faults.append(f"{name}: there is no {source}")
        if not source.startswith(".") and source not in compose["volumes"]:
            faults.append(f"{name}: volume {source} is not declared")
    for needed in service.get("depends_on", []):
        if needed not in compose["services"]:
            faults.append(f"{name} depends on {needed}, which is no service")
# Somebody who starts all of it has something to look at: dashboards where Grafana looks for them, of a source that is there.
grafana = compose["services"]["grafana"]
mounted = dict(reversed(volume.split(":")[:2]) for volume in grafana["volumes"])
for file in (path.parent / mounted["/etc/grafana/provisioning"]).glob("*/*.yaml"):
    provisioned = yaml.safe_load(file.read_text())
    for provider in provisioned.get("providers", []):
        folder = mounted.get(provider["options"]["path"], "nowhere")
        if not list((path.parent / folder).glob("*.json")):
            faults.append(f"{file}: no dashboards in {provider['options']['path']}")
    for source in provisioned.get("datasources", []):
        host, port = source["url"].removeprefix("http://").split(":")
        if host not in compose["services"] or not any(str(open).endswith(f":{port}") for open in compose["services"][host]["ports"]):
            faults.append(f"{file}: {source['url']} is no service")
home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
folder, name = home.rsplit("/", 1)
if not (path.parent / mounted.get(folder, "nowhere") / name).exists():
    faults.append(f"grafana: {home} is not mounted")
for fault in faults:
    print(f"FAULT: {fault}")
if not faults:
    print(f"{path} is valid: {', '.join(compose['services'])}")
sys.exit(1 if faults else 0)
