"""Slow clients, by slowhttptest: heads, bodies and readers that never finish, 300 connections each."""

import contextlib
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from gate import Gate, Origin, Probe

CONNECTIONS = 300
SECONDS = 60
ADDRESS = "listen: 127.0.0.1:0"
#: One address may have more connections than it has by default: then only the time-outs end them.
RAISED = f"{ADDRESS}, connections: {{per_address: 10000}}"

#: Name, configuration, path, options of slowhttptest. Those of a row run at the same time: the tool takes a core by itself.
ATTACKS = [
    [
        ("slow heads, default configuration", ADDRESS, "/", ["-H", "-i", "2", "-x", "10"]),
        ("slow heads, per_address raised", RAISED, "/", ["-H", "-i", "2", "-x", "10"]),
    ],
    [
        ("slow bodies, per_address raised", RAISED, "/", ["-B", "-i", "2", "-s", "8192", "-x", "10", "-t", "POST"]),
        # Fewer a second: each costs the backend of this run 4 MB, and it is in Python.
        ("slow readers, per_address raised", RAISED, "/bytes/4000000",
         ["-X", "-w", "64", "-y", "128", "-n", "2", "-z", "32", "-r", "50"]),
    ],
]


#: What single clients send: first, then a piece each second.
SINGLE = [
    ("a field line per second", b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
    ("half a request line, then silence", b"GET / HT", b""),
    ("a byte of a body per second", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", b"x"),
]


def measure(part, binary, folder):
    with Origin() as origin, Gate(binary, folder, origin) as gate, ThreadPoolExecutor() as threads:
        single = [(name, threads.submit(patience, gate, first, then)) for name, first, then in SINGLE]
        together(part, binary, folder)
        for name, ended in single:
            ended_s = ended.result()
            told = f"not ended after {SECONDS} s" if ended_s is None else f"ended after {ended_s:.0f} s"
            part.add(f"{name}, default configuration", told, f"ended within {SECONDS} s", ended_s is not None)


def patience(gate, first, then):
    """After how many seconds such a client is cut off."""
    with socket.create_connection(gate.address) as stream:
        began = time.monotonic()
        stream.settimeout(1)
        try:
            stream.sendall(first)
            while time.monotonic() - began < SECONDS:
                try:
                    if not stream.recv(4096):
                        return time.monotonic() - began
                except TimeoutError:
                    stream.sendall(then)
        except OSError:
            return time.monotonic() - began
    return None


def together(part, binary, folder):
    for row in ATTACKS:
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(Run(binary, folder, attack)) for attack in row]
            while not all([run.look() for run in runs]):
                time.sleep(0.25)
        for run in runs:
            run.tell(part)


class Run:
    """One attack on a gate and a backend of its own, with a client beside it."""

    def __init__(self, binary, folder, attack):
        self.binary, self.folder, self.attack = binary, folder, attack
        self.name = attack[0]
        self.most, self.half_s, self.over_s, self.most_mib = 0, None, None, 0.0
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        _, server, path, options = self.attack
        origin = self.stack.enter_context(Origin())
        self.gate = self.stack.enter_context(Gate(self.binary, self.folder, origin, server))
        self.before_mib = self.gate.rss_mib()
        self.probe = self.stack.enter_context(Probe(self.gate))
        url = f"http://127.0.0.1:{self.gate.port}{path}"
        command = ["slowhttptest", "-c", str(CONNECTIONS), "-r", "100", "-l", str(SECONDS), "-p", "3", "-u", url, *options]
        self.tool = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(self.tool.wait)
        self.stack.callback(self.tool.kill)
        self.begun = time.monotonic()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def look(self):
        """Counts the connections as the gate does: what it has closed, a client that does not read cannot see."""
        count, now_s = self.gate.connections(), time.monotonic() - self.begun
        self.most = max(self.most, count)
        self.most_mib = max(self.most_mib, self.gate.rss_mib() - self.before_mib)
        if self.half_s is None and self.most > 100 and count < self.most / 2:
            self.half_s = now_s
        # One may be the client beside it.
        if self.over_s is None and self.half_s and count <= 1:
            self.over_s = now_s
        return self.over_s is not None or now_s > SECONDS

    def tell(self, part):
        if self.over_s is None:
            told = f"{self.most} open, not ended after {SECONDS} s"
        else:
            told = f"{self.most} open, half ended after {self.half_s:.0f} s, all after {self.over_s:.0f} s"
        part.add(self.name, told, f"all ended within {SECONDS} s", self.over_s is not None)
        self.probe.judge(part, self.name)
        part.most(f"{self.name}: memory of one", self.most_mib * 1024 / max(self.most, 1), 1024, "KiB")
