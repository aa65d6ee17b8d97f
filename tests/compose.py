#!/usr/bin/env python3
"""Checks deploy/compose.yaml: what docker compose itself does not demand, and without its plugin that it can be read."""

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
        source, *_ = volume.split(":")
        if source.startswith(".") and not (path.parent / source).exists():
            faults.append(f"{name}: there is no {source}")
        if not source.startswith(".") and source not in compose["volumes"]:
            faults.append(f"{name}: volume {source} is not declared")
    for needed in service.get("depends_on", []):
        if needed not in compose["services"]:
            faults.append(f"{name} depends on {needed}, which is no service")
for fault in faults:
    print(f"FAULT: {fault}")
if not faults:
    print(f"{path} is valid: {', '.join(compose['services'])}")
sys.exit(1 if faults else 0)
