"""HTTP/2: a look at its throughput with h2load, then one attack after the other at the level of frames (RFC 9113).

Each attack must end, by GOAWAY or by a closed connection, in bounded time; memory must not grow by it, and another client is served
meanwhile. Frames are built with hyperframe and hpack.
"""

import dataclasses
import re
import select
import socket
import struct
import subprocess
import threading
import time

from gate import Gate, Origin, Probe
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CODES = {0: "NO_ERROR", 1: "PROTOCOL_ERROR", 2: "INTERNAL_ERROR", 3: "FLOW_CONTROL_ERROR", 9: "COMPRESSION_ERROR",
         11: "ENHANCE_YOUR_CALM"}
#: A short idle time, and little time for a part of an answer, so that silence is ended while we look.
SERVER = "listen: [{address: '127.0.0.1:0', http2: true}], connections: {idle: 10s, send_min_rate: 10000}"
FLOOD_S = 6
#: An attack that is ended at once is made again for so long, on new connections.
REPEAT_S = 1.5
SILENCE_S = 25


@dataclasses.dataclass
class Outcome:
    """How an attack ended."""

    frames: int = 0
    sent: int = 0
    goaway: int | None = None
    closed_s: float | None = None
    refused: int = 0
    answers: int = 0
    begun: float = dataclasses.field(default_factory=time.monotonic)

    def told(self, times):
        ended = "still open" if self.closed_s is None else f"closed after {self.closed_s:.1f} s"
        code = "" if self.goaway is None else f", GOAWAY {CODES.get(self.goaway, self.goaway)}"
        often = f"{times} times, first: " if times > 1 else ""
        return f"{often}{self.frames} frames, {ended}{code}; {self.answers} answers, {self.refused} streams reset"


class Client:
    """A connection that says exactly what it is told."""

    def __init__(self, gate, settings=None, preface=PREFACE):
        # Small buffers: what the peer does not read stays here, not in the kernel.
        self.socket = socket.create_connection(gate.address, 5)
        self.socket.setblocking(False)
        self.outcome = Outcome()
        self.received = b""
        self.encoder = Encoder()
        first = SettingsFrame(0, settings=settings or {}).serialize() if preface == PREFACE else b""
        self.pending = preface + first

    def head(self, stream, method="GET", path="/", ends=True):
        block = self.encoder.encode(
            [(":method", method), (":scheme", "http"), (":authority", "a.example"), (":path", path)]
        )
        return HeadersFrame(stream, data=block, flags=["END_HEADERS", *(["END_STREAM"] if ends else [])]).serialize()

    def run(self, frames=iter(()), seconds=FLOOD_S, pause_s=0.0, reads=True):
        """Sends what `frames` yields until the peer closes, at most for so long."""
        end, next_at = time.monotonic() + seconds, 0.0
        while time.monotonic() < end and self.outcome.closed_s is None:
            if not self.pending and frames is not None and time.monotonic() >= next_at:
                batch = next(frames, None)
                if batch is None:
                    frames = None
                else:
                    self.pending = batch
                    self.outcome.frames += 1
                    next_at = time.monotonic() + pause_s
            try:
                self._step(reads)
            except OSError:
                self._closed()
        self.socket.close()
        return self.outcome

    def _step(self, reads):
        wants = [self.socket] if self.pending else []
        # Whoever does not read sees a close by what it writes.
        readable, writable, _ = select.select([self.socket] if reads else [], wants, [], 0.02)
        if writable:
            count = self.socket.send(self.pending)
            self.outcome.sent += count
            self.pending = self.pending[count:]
        if readable:
            data = self.socket.recv(1 << 16)
            if not data:
                self._closed()
            self._take(data)

    def _closed(self):
        if self.outcome.closed_s is None:
            self.outcome.closed_s = time.monotonic() - self.outcome.begun

    def _take(self, data):
        self.received += data
        while len(self.received) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self.received[:9]))
            if len(self.received) < 9 + length:
                return
            body, self.received = self.received[9:9 + length], self.received[9 + length:]
            if isinstance(frame, GoAwayFrame):
                self.outcome.goaway = struct.unpack(">L", body[4:8])[0]
            elif isinstance(frame, RstStreamFrame):
                self.outcome.refused += 1
            elif isinstance(frame, HeadersFrame):
                self.outcome.answers += 1


def streams():
    return iter(range(1, 1 << 30, 2))


def rapid_reset(gate):
    client = Client(gate)
    cancel = lambda stream: client.head(stream) + RstStreamFrame(stream, error_code=8).serialize()
    return client.run(cancel(stream) for stream in streams())


def made_you_reset(gate):
    # A window that is opened by nothing is an error of the stream (RFC 9113 section 6.9): the server resets it.
    client = Client(gate)
    nothing = lambda stream: b"\0\0\4\x08\0" + struct.pack(">LL", stream, 0)
    return client.run(client.head(stream) + nothing(stream) for stream in streams())


def continuations(gate, pause_s, seconds):
    client = Client(gate)
    block = client.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")])

    def frames():
        yield HeadersFrame(1, data=block, flags=["END_STREAM"]).serialize()
        number = 0
        while True:
            # A literal field without indexing, three octets: never enough to be too large soon.
            yield ContinuationFrame(1, data=b"\0\1a\1" + bytes([97 + number % 26])).serialize()
            number += 1

    return client.run(frames(), seconds, pause_s)


def repeated(frame, first=None, reads=True):
    def attack(gate):
        client = Client(gate)
        head = first(client) if first else b""
        # A hundred in a piece, or this program is what is slow.
        batch = frame.serialize() * 100

        def frames():
            if head:
                yield head
            while True:
                yield batch

        outcome = client.run(frames(), reads=reads)
        outcome.frames *= 100
        return outcome

    return attack


def header_bomb(gate):
    # One field of 4,000 octets in the table, then 12,000 references of one octet: 48 MB of fields in a frame.
    client = Client(gate)
    start = client.encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")])
    large = b"\x40\x01x\x7f" + bytes([0xA1, 0x1E]) + b"v" * 4000

    def frames():
        for stream in streams():
            block = (start if stream == 1 else b"\x82\x86\x84\x41\x09a.example") + large + b"\xbe" * 12000
            yield HeadersFrame(stream, data=block, flags=["END_HEADERS", "END_STREAM"]).serialize()

    return client.run(frames(), pause_s=0.02)


def zero_window(gate):
    client = Client(gate, settings={4: 0})
    return client.run((client.head(stream, path="/bytes/20000000") for stream in range(1, 201, 2)), SILENCE_S)


def silent(preface, then=b""):
    return lambda gate: Client(gate, preface=preface).run(iter([then] if then else []), SILENCE_S)


UPLOAD = lambda client: client.head(1, "POST", ends=False)
FLOODS = [
    ("rapid reset", rapid_reset),
    ("streams that the server resets", made_you_reset),
    ("CONTINUATION frames without end", lambda gate: continuations(gate, 0, FLOOD_S)),
    ("SETTINGS flood", repeated(SettingsFrame(0, settings={3: 100}))),
    ("PING flood", repeated(PingFrame(0, opaque_data=b"12345678"))),
    ("PING flood, answers not read", repeated(PingFrame(0, opaque_data=b"12345678"), reads=False)),
    ("empty DATA flood", repeated(DataFrame(1, data=b""), UPLOAD)),
    ("PRIORITY flood", repeated(PriorityFrame(1, depends_on=0, stream_weight=1))),
    ("WINDOW_UPDATE flood", repeated(WindowUpdateFrame(0, window_increment=1))),
    ("header list bomb", header_bomb),
]
#: These take their time and little else: all at once, on one gate.
SILENCES = [
    ("preface that stops half-way", silent(PREFACE[:10])),
    ("half a frame, then silence", silent(PREFACE, b"\0\0\4\x08")),
    ("head that stops after HEADERS", silent(PREFACE, HeadersFrame(1, data=b"\x82", flags=["END_STREAM"]).serialize())),
    ("CONTINUATION frame per second", lambda gate: continuations(gate, 1.0, SILENCE_S)),
    ("windows of zero, 100 large answers", zero_window),
]


def measure(part, binary, folder):
    with Origin() as origin:
        with Gate(binary, folder, origin, SERVER) as gate:
            throughput(part, gate)
        for name, attack in FLOODS:
            with Gate(binary, folder, origin, SERVER) as gate:
                one(part, gate, [(name, attack)], FLOOD_S)
        with Gate(binary, folder, origin, SERVER) as gate:
            one(part, gate, SILENCES, SILENCE_S)


def throughput(part, gate):
    command = ["h2load", "-n", "20000", "-c", "10", "-m", "20", f"http://127.0.0.1:{gate.port}/"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", text)
    counts = re.search(r"(\d+) succeeded, (\d+) failed", text)
    told = f"{rate[1]} requests a second, {counts[2]} failed" if rate and counts else text[-200:]
    part.add("h2load, 10 connections of 20 streams", told, "none failed", counts and counts[1] == "20000")


def one(part, gate, attacks, seconds):
    """Runs attacks at the same time on one gate; those that are ended at once come again."""
    before_mib = most_mib = gate.rss_mib()
    outcomes = {name: [] for name, _ in attacks}

    def repeat(name, attack):
        end = time.monotonic() + REPEAT_S
        while not outcomes[name] or time.monotonic() < end:
            outcomes[name].append(attack(gate))

    with Probe(gate) as probe:
        threads = [threading.Thread(target=repeat, args=attack) for attack in attacks]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
            most_mib = max(most_mib, gate.rss_mib()) if gate.is_alive() else most_mib
    for name, _ in attacks:
        ended = outcomes[name]
        first = ended[0] if ended else Outcome()
        is_over = bool(ended) and all(outcome.closed_s is not None for outcome in ended)
        part.add(name, first.told(len(ended)), f"ended within {seconds} s", is_over)
    name, bound_mib = (attacks[0][0], 32) if len(attacks) == 1 else ("silent connections", 100)
    probe.judge(part, name)
    part.most(f"{name}: memory", most_mib - before_mib, bound_mib, "MiB")
    part.add(f"{name}: the process", "lives" if gate.is_alive() else "ended", "lives", gate.is_alive())
