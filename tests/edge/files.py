"""No file descriptors left: 64 for the process and 200 connections. It must wait for some, not turn in circles."""

import contextlib
import socket
import time

from gate import Gate, Origin, ask, get

FILES = 64
CONNECTIONS = 200


def measure(part, binary, folder):
    prefix = ["prlimit", f"--nofile={FILES}:{FILES}"]
    with Origin() as origin, Gate(binary, folder, origin, prefix=prefix) as gate, contextlib.ExitStack() as stack:
        old = stack.enter_context(socket.create_connection(gate.address, 5))
        first, _ = ask(old, "/")
        others = [stack.enter_context(socket.create_connection(gate.address, 5)) for _ in range(CONNECTIONS)]
        time.sleep(0.5)
        before_s = gate.cpu_s()
        time.sleep(3)
        cpu = (gate.cpu_s() - before_s) / 3 * 100
        part.most(f"{CONNECTIONS} connections, {FILES} files: processor time", cpu, 20, "% of a core")
        try:
            again = ask(old, "/")[0]
        except (OSError, ConnectionError) as error:
            again = type(error).__name__
        part.add("a connection from before", f"{first}, then {again}", "200, then 200", (first, again) == (200, 200))
        for stream in others:
            stream.close()
        began = time.monotonic()
        part.add("a new one, when the others are gone", *recovered(gate, began))
        part.add("the process", "lives" if gate.is_alive() else "ended", "lives", gate.is_alive())


def recovered(gate, began):
    bound_s, status = 5, "no answer"
    while time.monotonic() - began < bound_s:
        try:
            status, _ = get(gate.address, "/", timeout=1)
            if status == 200:
                return f"served after {time.monotonic() - began:.1f} s", f"within {bound_s} s", True
        except (OSError, ConnectionError):
            time.sleep(0.05)
    return f"{status} for {bound_s} s", f"within {bound_s} s", False
