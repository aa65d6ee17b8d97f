"""A mosquitto, a forecastd, and a client that speaks just enough MQTT, for the commands beside this file.

Python 3.9 and mosquitto, and nothing else.
"""

import argparse
import collections
import http.client
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time


class HarnessError(Exception):
    """The measurement or comparison cannot be made."""


# --- MQTT 3.1.1 ------------------------------------------------------------------------------------------------------


def packet(head, body):
    """The bytes of a packet (MQTT 3.1.1, section 2.2)."""
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([head]) + bytes(length) + body


def text(value):
    """A string with its length before it."""
    encoded = value.encode()
    return struct.pack("!H", len(encoded)) + encoded


def packets(buffer):
    """Takes whole packets off the front of `buffer`: the first byte and what follows the length."""
    while True:
        length, shift, position = 0, 0, 1
        while position < len(buffer):
            digit = buffer[position]
            length |= (digit & 0x7F) << shift
            shift, position = shift + 7, position + 1
            if not digit & 0x80:
                break
        else:
            return
        if len(buffer) < position + length:
            return
        head, body = buffer[0], bytes(buffer[position:position + length])
        del buffer[:position + length]
        yield head, body


Message = collections.namedtuple("Message", "topic payload retain duplicate")


class Client(threading.Thread):
    """Subscribes to one filter at QoS 1, keeps its session over lost connections, and keeps every message."""

    def __init__(self, port, client_id, topic_filter):
        super().__init__(daemon=True)
        self.port, self.client_id, self.topic_filter = port, client_id, topic_filter
        self.messages = []
        self.sessions = 0
        self.subscribed = threading.Event()
        self.newest_issued_at, self.newest_came = "", time.monotonic()
        self._socket = None
        self._ends = False
        self.start()
        if not self.subscribed.wait(10):
            raise HarnessError("the broker does not answer a subscription")

    def run(self):
        while not self._ends:
            try:
                self._connection()
            except OSError:
                time.sleep(0.02)

    def _connection(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # No keep-alive, and the session stays.
            connection.sendall(packet(0x10, text("MQTT") + b"\x04\x00\x00\x00" + text(self.client_id)))
            buffer = bytearray()
            connection.settimeout(None)
            while not self._ends:
                came = connection.recv(1 << 16)
                if not came:
                    return
                buffer += came
                answers = bytearray()
                for head, body in packets(buffer):
                    if head >> 4 == 2:
                        self._connected(connection, body)
                    elif head >> 4 == 3:
                        answers += self._message(head, body)
                    elif head >> 4 == 9:
                        self.subscribed.set()
                if answers:
                    connection.sendall(answers)

    def _connected(self, connection, body):
        if body[1] != 0:
            raise HarnessError(f"the broker refuses the client {self.client_id}: {body[1]}")
        self._socket = connection
        if not body[0] & 1:
            self.sessions += 1
            connection.sendall(packet(0x82, b"\x00\x01" + text(self.topic_filter) + b"\x01"))

    def _message(self, head, body):
        """Keeps a message and gives its acknowledgement."""
        end = 2 + struct.unpack("!H", body[:2])[0]
        topic, at_least_once = body[2:end].decode(), head & 0x06
        payload = body[end + 2:] if at_least_once else body[end:]
        self.messages.append(Message(topic, payload, bool(head & 1), bool(head & 8)))
        issued_at = issue_time(payload)
        if issued_at and issued_at > self.newest_issued_at:
            self.newest_issued_at, self.newest_came = issued_at, time.monotonic()
        return packet(0x40, body[end:end + 2]) if at_least_once else b""

    def read_to_the_end(self):
        """Waits until everything that the broker had for this client is here."""
        marker = f"{self.topic_filter.rsplit('/', 1)[0]}/end-{random.random()}"
        self._socket.sendall(packet(0x32, text(marker) + b"\x00\x02x"))
        wait(lambda: any(message.topic == marker for message in self.messages[-100:]), 60, "the end of a subscription")
        self.messages = [message for message in self.messages if message.topic != marker]

    def end(self):
        """Ends the session's thread."""
        self._ends = True
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.join(5)


def issue_time(payload):
    """When a forecast was issued, or nothing for other payloads; quicker than to read all of it as JSON."""
    key = b'"issued_at":"'
    begin = payload.find(key)
    if begin < 0:
        return None
    begin += len(key)
    return payload[begin:payload.index(b'"', begin)].decode()


def publish(port, messages, window=1000):
    """Publishes topics and payloads at QoS 1, so many at once, until all are acknowledged."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("publisher")))
        buffer, sent, settled, number, has_more = bytearray(), 0, -1, 0, True
        messages = iter(messages)
        while has_more or settled < sent:
            out = bytearray()
            while has_more and settled >= 0 and sent - settled < window:
                message = next(messages, None)
                if message is None:
                    has_more = False
                    break
                number, sent = number % 65535 + 1, sent + 1
                out += packet(0x32, text(message[0]) + struct.pack("!H", number) + message[1].encode())
            if out:
                connection.sendall(out)
            if has_more or settled < sent:
                came = connection.recv(1 << 16)
                if not came:
                    raise HarnessError("the broker closed the publisher's connection")
                buffer += came
                # CONNACK counts as the first.
                settled += sum(1 for head, _ in packets(buffer) if head >> 4 in (2, 4))


# --- Commands ---------------------------------------------------------------------------------------------------------


def parser(document, model, patience_s):
    """The options that every command which measures has; `document` is its own text."""
    root = pathlib.Path(__file__).resolve().parents[2]
    options = argparse.ArgumentParser(description=document.split("\n", 1)[0])
    options.add_argument("--binary", type=pathlib.Path, default=root / "target/release/forecastd")
    options.add_argument("--model", type=pathlib.Path, default=root / "models" / model)
    options.add_argument("--engine", default="tract", help="model.engine [tract]")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the configuration")
    options.add_argument("--patience", type=float, default=patience_s, help=f"seconds until anything must be done [{patience_s}]")
    return options


def measured(options, measure):
    """Measures once, in a folder that is gone afterwards; the code to end with."""
    for name in ("binary", "model"):
        path = getattr(options, name).resolve()
        if not path.is_file():
            print(f"not measured: --{name}: there is no file {path}", file=sys.stderr)
            return 2
        setattr(options, name, path)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            measure(options, pathlib.Path(temporary))
        except HarnessError as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 2
    return 0


# --- Processes -------------------------------------------------------------------------------------------------------


def wait(condition, seconds, what, every=0.005):
    """Waits until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise HarnessError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(every)


def free_port():
    """A port that is free, below those that the system gives to outgoing connections."""
    for _ in range(100):
        port = random.SystemRandom().randrange(12000, 30000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise HarnessError("no port is free")


class Broker:
    """A mosquitto with persistent sessions and queues without an end."""

    def __init__(self, folder):
        self.port = free_port()
        self.restarts = 0
        self._folder = folder
        self._program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if self._program is None:
            raise HarnessError("mosquitto is not installed (Debian: apt-get install mosquitto)")
        lines = [
            f"listener {self.port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true",
            "persistence true", f"persistence_location {folder}/", "autosave_interval 0",
            "max_queued_messages 0", "max_queued_bytes 0", "max_inflight_messages 256",
        ]
        if os.geteuid() == 0:
            lines.append("user root")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process = None
        self._start()

    def _start(self):
        with open(self._folder / "mosquitto.log", "ab") as log:
            command = [self._program, "-c", str(self._folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait(self._answers, 30, "an answer of mosquitto")

    def _answers(self):
        """Whether it serves. A signal that came before it does would be lost."""
        if self._process.poll() is not None:
            raise HarnessError(f"mosquitto ended: see {self._folder}/mosquitto.log")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x3c" + text("probe")))
                return connection.recv(4)[:1] == b"\x20"
        except OSError:
            return False

    def restart(self):
        """Ends it cleanly and starts it again."""
        self.end()
        self._start()
        self.restarts += 1

    def end(self):
        """Ends it cleanly."""
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise HarnessError("mosquitto does not end")


class Daemon:
    """A forecastd that can be killed and started again."""

    def __init__(self, options, folder, broker, arguments=()):
        self.journal = folder / "journal.sqlite"
        self.kills = 0
        self._folder, self._command = folder, [options.binary, "run", *arguments]
        self._http_port = free_port()
        settings = {
            "mqtt.host": "127.0.0.1", "mqtt.port": broker.port, "mqtt.reconnect_min_s": 0.02,
            "mqtt.reconnect_max_s": 0.2, "model.path": options.model, "model.engine": options.engine,
            "model.watch_s": 0, "journal.path": self.journal, "journal.keep_forecasts_days": 3650, "http.listen": f"127.0.0.1:{self._http_port}",
        }
        settings.update(setting.split("=", 1) for setting in options.set)
        self._environment = {
            f"FORECASTD__{key.upper().replace('.', '__')}": str(value) for key, value in settings.items()
        }
        self._process = None
        self.start()

    def start(self):
        """Starts it, and does not wait for anything."""
        with open(self._folder / "forecastd.log", "ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )

    def check(self):
        """Refuses to go on with a daemon that ended by itself."""
        if self._process.poll() is not None:
            log = (self._folder / "forecastd.log").read_text(errors="replace").splitlines()[-10:]
            raise HarnessError("\n".join([f"forecastd ended by itself with {self._process.returncode}", *log]))

    def kill(self):
        """Ends it as a power cut would."""
        self.check()
        self._process.kill()
        self._process.wait()
        self.kills += 1

    def end(self):
        """Ends it cleanly; how many seconds that took."""
        began = time.monotonic()
        self.check()
        self._process.terminate()
        try:
            code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise HarnessError("forecastd does not end within 60 s of SIGTERM")
        if code != 0:
            raise HarnessError(f"forecastd ended with {code} after SIGTERM")
        return time.monotonic() - began

    def abandon(self):
        """Sees to it that nothing goes on."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def is_ready(self):
        """Whether `/readyz` says so."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._http_port, timeout=60)
            connection.request("GET", "/readyz")
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException):
            return False
        return status == 200

    def peak_bytes(self):
        """The most memory that the daemon held, and its engine's process."""
        children = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [peak_bytes(process) for process in [self._process.pid, *children]]

    def cpu_s(self):
        """Seconds of processor time of the daemon."""
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metrics(self):
        """The samples of a scrape by series; none while it does not serve."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._http_port, timeout=10)
            connection.request("GET", "/metrics")
            body = connection.getresponse().read().decode()
            connection.close()
        except (OSError, http.client.HTTPException):
            return {}
        return dict(line.rsplit(" ", 1) for line in body.splitlines() if line and not line.startswith("#"))

    def count_rows(self):
        """Readings and rows of forecasts in the journal; none while it cannot be read."""
        if not self.journal.exists():
            return None
        try:
            with connect(self.journal) as journal:
                return [journal.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                        for table in ("reading", "forecast_lead")]
        except sqlite3.Error:
            return None


class connect:
    """A connection to a journal, closed at the end."""

    def __init__(self, path):
        self._connection = sqlite3.connect(path, timeout=10)

    def __enter__(self):
        return self._connection

    def __exit__(self, *_):
        self._connection.close()


def peak_bytes(process):
    """The most memory that a process held, as Linux tells."""
    status = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
