"""The program under test, its backend, and a client that looks whether it still serves."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class Gate:
    """Tidegate as a child process; a context manager that ends it."""

    def __init__(self, binary, folder, origin, server="", prefix=()):
        """`server` is the inside of the section of that name; `prefix` a command that runs the binary."""
        file = folder / f"tidegate-{time.monotonic_ns()}.yaml"
        server = server or "listen: 127.0.0.1:0"
        file.write_text(
            f"server: {{{server}}}\nadmin: {{listen: 127.0.0.1:0}}\n"
            f"upstreams: {{backend: {{servers: ['127.0.0.1:{origin.port}'], response_timeout: 60s}}}}\n"
            "routes: [{path: /}]\n"
        )
        environment = {"PATH": os.environ["PATH"]}
        command = [*prefix, str(binary), "run", "--config", str(file)]
        self.child = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = self.child.stdout.readline()
        found = re.match(r"listening http=(\S+):(\d+) admin=(\S+):(\d+)", line)
        if not found:
            self.child.kill()
            raise RuntimeError(f"tidegate ended instead of listening: {command} {file.read_text()}")
        # Access lines come here; somebody has to take them.
        threading.Thread(target=self._drain, daemon=True).start()
        self.port, self.admin = int(found[2]), int(found[4])
        self.address = ("127.0.0.1", self.port)
        self.pid = self.child.pid

    def _drain(self):
        with contextlib.suppress(ValueError, OSError):
            while self.child.stdout.read(1 << 16):
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def is_alive(self):
        return self.child.poll() is None

    def connections(self):
        """Connections of its data listeners, by its own count."""
        _, text = get(("127.0.0.1", self.admin), "/metrics", host="localhost")
        return int(re.search(rb"(?m)^tidegate_connections(?:\{[^}]*\})? (\d+)", text)[1])

    def rss_mib(self):
        fields = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE / (1 << 20)

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


class Origin:
    """The backend, a process of its own: `origin.py`."""

    def __enter__(self):
        file = pathlib.Path(__file__).with_name("origin.py")
        self.child = subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.child.stdout.readline())
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def sent(self):
        """Bytes of bodies that it could write so far."""
        return int(get(("127.0.0.1", self.port), "/sent")[1])


def head_of(stream):
    """Reads a head; the status and the bytes that came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more:
            raise ConnectionError(f"closed after {data!r}")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head, rest


def ask(stream, path, host="a.example"):
    """One request on a connection that stays: status and body."""
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    status, head, body = head_of(stream)
    length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
    while len(body) < length:
        more = stream.recv(65536)
        if not more:
            raise ConnectionError("closed in a body")
        body += more
    return status, body


def get(address, path, source="127.0.0.1", timeout=10, host="a.example"):
    """One request on a connection of its own."""
    with socket.create_connection(address, timeout, (source, 0)) as stream:
        return ask(stream, path, host)


class Probe:
    """Another client, of another address, that asks every 100 ms on a new connection."""

    def __init__(self, gate, source="127.0.0.2"):
        self.address, self.source = gate.address, source
        self.took_s, self.failed = [], []
        self.stops = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stops.wait(0.1):
            began = time.monotonic()
            try:
                status, _ = get(self.address, "/probe", self.source)
                if status != 200:
                    self.failed.append(str(status))
            except (OSError, ConnectionError) as error:
                self.failed.append(type(error).__name__)
            self.took_s.append(time.monotonic() - began)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stops.set()
        self.thread.join()

    def p99_s(self):
        took = sorted(self.took_s)
        return took[min(len(took) - 1, int(len(took) * 0.99))] if took else 0.0

    def judge(self, part, name):
        """Reports that everybody else was served meanwhile."""
        count, failed, p99 = len(self.took_s), len(self.failed), self.p99_s()
        what = f"{name}: another client meanwhile"
        told = f"{count - failed} of {count} served, p99 {p99 * 1000:.0f} ms"
        part.add(what, told, "all served, p99 below 1 s", count > 0 and not failed and p99 < 1)
