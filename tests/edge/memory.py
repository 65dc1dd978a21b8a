"""What connections and bodies cost: idle connections, large bodies both ways, a reader that stops."""

import resource
import socket
import threading
import time

from gate import Gate, Origin, ask, head_of

CONNECTIONS = 10_000
GIB = 1 << 30
DOWN = 10 * GIB
UP = 2 * GIB
SERVER = (
    "listen: 127.0.0.1:0, connections: {max: 12000, per_address: 256, idle: 5m}, "
    "request: {body_bytes: 4GiB}"
)


def measure(part, binary, folder):
    with Origin() as origin:
        with Gate(binary, folder, origin, SERVER) as gate:
            idle(part, gate)
        with Gate(binary, folder, origin, SERVER) as gate:
            # The first bytes fill buffers that stay.
            ask_large(gate, 64 << 20)
            download(part, gate)
            upload(part, gate)
            stopped_reader(part, gate, origin)


def idle(part, gate):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = min(CONNECTIONS, hard - 500)
    before_mib = gate.rss_mib()
    streams = []
    began = time.monotonic()
    try:
        for number in range(wanted):
            source = (f"127.0.1.{1 + number // 200}", 0)
            stream = socket.create_connection(gate.address, 10, source)
            streams.append(stream)
            status, _ = ask(stream, "/")
            if status != 200:
                raise RuntimeError(f"{status} at connection {number}")
        took_s = time.monotonic() - began
        each_kib = (gate.rss_mib() - before_mib) * 1024 / wanted
        before_s = gate.cpu_s()
        time.sleep(2)
        cpu = (gate.cpu_s() - before_s) / 2 * 100
        part.most(f"{wanted} idle connections after a request each: memory of one", each_kib, 64, "KiB")
        part.most(f"{wanted} idle connections: processor time", cpu, 10, "% of a core")
        alive = sum(ask(stream, "/")[0] == 200 for stream in streams[::100])
        told = f"{alive} of {len(streams[::100])} asked again are answered; opened in {took_s:.1f} s"
        part.add(f"{wanted} idle connections: still good", told, "all", alive == len(streams[::100]))
    finally:
        for stream in streams:
            stream.close()


class Watch:
    """The most memory that the gate had meanwhile, above what it had before."""

    def __init__(self, gate):
        self.gate, self.before, self.most = gate, gate.rss_mib(), 0.0
        self.stops = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stops.wait(0.05):
            self.most = max(self.most, self.gate.rss_mib() - self.before)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stops.set()
        self.thread.join()


def ask_large(gate, size):
    """Asks for a body of that size and reads it to its end; bytes read."""
    with socket.create_connection(gate.address, 30) as stream:
        stream.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % size)
        _, _, rest = head_of(stream)
        count, buffer = len(rest), bytearray(1 << 20)
        while count < size:
            more = stream.recv_into(buffer)
            if not more:
                break
            count += more
        return count


def download(part, gate):
    with Watch(gate) as watch:
        began = time.monotonic()
        count = ask_large(gate, DOWN)
        rate = count / (1 << 20) / (time.monotonic() - began)
    name = f"answer of {DOWN // GIB} GiB"
    part.add(name, f"{count / GIB:.1f} GiB, {rate:.0f} MiB a second", "whole", count == DOWN)
    part.most(f"{name}: memory", watch.most, 32, "MiB")


def upload(part, gate):
    chunk = bytes(1 << 20)
    with Watch(gate) as watch, socket.create_connection(gate.address, 30) as stream:
        began = time.monotonic()
        stream.sendall(b"POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % UP)
        for _ in range(UP // len(chunk)):
            stream.sendall(chunk)
        status, _, _ = head_of(stream)
        rate = UP / (1 << 20) / (time.monotonic() - began)
    name = f"body of {UP // GIB} GiB"
    part.add(name, f"status {status}, {rate:.0f} MiB a second", "status 200", status == 200)
    part.most(f"{name}: memory", watch.most, 32, "MiB")


def stopped_reader(part, gate, origin):
    before = origin.sent()
    with Watch(gate) as watch, socket.socket() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        stream.settimeout(30)
        stream.connect(gate.address)
        stream.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: a.example\r\n\r\n" % GIB)
        stream.recv(1000)
        time.sleep(1)
        taken = origin.sent() - before
        time.sleep(2)
        more = origin.sent() - before - taken
    # Nearly all of it lies in the buffers of two sockets in the kernel, which grow by themselves.
    told = f"{taken / (1 << 20):.1f} MiB taken of 1 GiB, then {more} bytes in 2 s"
    part.add("reader that stops: the backend is paused", told, "at most 64 MiB, then none", taken < 64 << 20 and more == 0)
    part.most("reader that stops: memory", watch.most, 32, "MiB")


