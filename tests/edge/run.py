"""Attacks the release binary with slow clients, HTTP/2 frames, a TLS scanner and a lot of bytes, and measures what it costs.

    run.py [options]
      --binary FILE   the program under test; default: the release binary
      --only NAME     one part of slow, http2, tls, memory, files; may be given several times
      --json FILE     every measurement, for comparison

Everything runs on free ports and ends with this program. Exit code 0: every bound holds; 1: one is broken; 2: there was no run.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import sys
import tempfile
import time

import files
import http2
import memory
import slow
import tls
from report import Report

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = {
    "slow": slow.measure,
    "http2": http2.measure,
    "tls": tls.measure,
    "memory": memory.measure,
    "files": files.measure,
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    parser.add_argument("--binary", type=pathlib.Path, default=pathlib.Path(target) / "release" / "tidegate")
    parser.add_argument("--only", action="append", choices=list(PARTS))
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def main():
    chosen = options()
    if not chosen.binary.exists():
        print(f"{chosen.binary} is missing; `make edge` builds it", file=sys.stderr)
        return 2
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    report = Report()
    for name in chosen.only or PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tidegate-edge-") as folder:
            PARTS[name](report.part(name), chosen.binary.resolve(), pathlib.Path(folder))
        report.took(name, time.monotonic() - began)
    print(report.table())
    if chosen.json:
        machine = {"cores": os.cpu_count(), "system": platform.platform()}
        chosen.json.write_text(json.dumps({"machine": machine, **report.data()}, indent=1) + "\n")
    return 0 if report.is_kept() else 1


if __name__ == "__main__":
    sys.exit(main())
