"""Slow clients, by slowhttptest: heads, bodies and readers that never finish, 300 connections each."""

import contextlib
import subprocess
import time

from gate import Gate, Origin, Probe

CONNECTIONS = 300
SECONDS = 30
ADDRESS = "listen: 127.0.0.1:0"
#: One address may have more connections than it has by default: then only the time-outs end them.
RAISED = f"{ADDRESS}, connections: {{per_address: 10000}}"
#: A write that makes no progress is ended after the idle time: a short one, so that we see it.
READERS = f"{ADDRESS}, connections: {{per_address: 10000, idle: 10s}}"

#: Name, configuration, path, options of slowhttptest. Those of a row run at the same time: the tool takes a core by itself.
ATTACKS = [
    [
        ("slow heads, default configuration", ADDRESS, "/", ["-H", "-i", "2", "-x", "10"]),
        ("slow heads, per_address raised", RAISED, "/", ["-H", "-i", "2", "-x", "10"]),
    ],
    [
        ("slow bodies, per_address raised", RAISED, "/", ["-B", "-i", "2", "-s", "8192", "-x", "10", "-t", "POST"]),
        ("slow readers, per_address raised, idle 10 s", READERS, "/bytes/4000000",
         ["-X", "-w", "64", "-y", "128", "-n", "2", "-z", "32"]),
    ],
]


def measure(part, binary, folder):
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
