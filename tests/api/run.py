"""Tests the dashboard's API by its own OpenAPI document: a seeded SQLite file, the release binary, the checks of schemathesis.

    run.py [options] [-- OPTIONS OF schemathesis run]
      --binary FILE   the program under test; default: the release binary

Everything runs on a free port and ends with this program. Exit code 0: every check holds; 1: one does not; 2: there was no run.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = pathlib.Path(__file__).with_name("schemathesis.toml")
# DELETE ends an export and takes its file away; that it was made is told on.
EXCEPT = ["--exclude-checks", "use_after_free"]
SECRET = "a secret of this run, long enough for HMAC"


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    parser.add_argument("--binary", type=pathlib.Path, default=pathlib.Path(target) / "release" / "tidegate")
    parser.add_argument("more", nargs="*")
    return parser.parse_args()


def token(tenant):
    """An HS256 token of the tenant's administrator."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {
        # The smallest tenants have none.
        "sub": tenant["admin"] or "somebody",
        "organization_id": tenant["id"],
        "role": "admin",
        "exp": int(time.time()) + 3600,
    }
    head = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (head + b"." + part(hmac.digest(SECRET.encode(), head, hashlib.sha256))).decode()


class Service:
    """`tidegate dashboard serve` over a file of its own; a context manager that ends it."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        config = folder / "dashboard.yaml"
        config.write_text(
            f'identity: {{jwt: {{algorithms: [HS256], secret: "{SECRET}"}}}}\n'
            "dashboard: {listen: 127.0.0.1:0, database: sqlite:api.db, gateways: []}\n"
        )
        self._tidegate("migrate")
        seeded = self._tidegate("seed", "--tenants", "3", "--users-per-tenant", "50", "--days", "60")
        self.token = token(json.loads(seeded)["tenants"][0])
        self.log = open(folder / "service.log", "w")
        self.child = subprocess.Popen(
            self._command("serve"),
            cwd=folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        line = self.child.stdout.readline()
        found = re.match(r"listening dashboard=(\S+)", line)
        if not found:
            self.child.kill()
            raise RuntimeError(f"it ended instead of listening: {(folder / 'service.log').read_text()}")
        threading.Thread(target=self._drain, daemon=True).start()
        self.url = f"http://{found[1]}"

    def _environment(self):
        return {"PATH": os.environ["PATH"], "TMPDIR": str(self.folder)}

    def _command(self, *words):
        return [str(self.binary), "dashboard", *words, "--config", "dashboard.yaml"]

    def _tidegate(self, *words):
        command = [*self._command(*words), "--json"]
        ran = subprocess.run(command, cwd=self.folder, env=self._environment(), capture_output=True, text=True)
        if ran.returncode:
            raise RuntimeError(f"{command}: {ran.stderr}")
        return ran.stdout

    def _drain(self):
        with contextlib.suppress(ValueError, OSError):
            while self.child.stdout.read(1 << 16):
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


def get(service, path):
    """The body of an answer that is 200."""
    asked = urllib.request.Request(service.url + path, headers={"Authorization": f"Bearer {service.token}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=20) as answer:
        return answer.read()


def is_told(service):
    """Is the token good? Else nothing but refusals would be tested."""
    try:
        return json.loads(get(service, "/api/v1/dashboard/metrics"))["data"]["users"]["total"] > 0
    except urllib.error.HTTPError as refused:
        print(f"the token is refused: {refused.read().decode()}", file=sys.stderr)
        return False


def main():
    chosen = options()
    if not chosen.binary.exists():
        print(f"{chosen.binary} is missing; `make api` builds it", file=sys.stderr)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidegate-api-") as folder:
        folder = pathlib.Path(folder)
        with Service(chosen.binary.resolve(), folder) as service:
            if not is_told(service):
                return 2
            # From a file: where the document comes from is an operation too, which the tester would leave out.
            document = folder / "openapi.json"
            document.write_bytes(get(service, "/openapi.json"))
            tester = [str(pathlib.Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG)]
            command = [*tester, "run", str(document), "--url", service.url, "--checks", "all", *EXCEPT, *chosen.more]
            environment = {**os.environ, "TIDEGATE_TOKEN": service.token, "NO_COLOR": "1"}
            code = subprocess.run(command, cwd=folder, env=environment).returncode
            if service.child.poll() is not None:
                print("the service ended under the test", file=sys.stderr)
                code = 1
            panics = [line for line in (folder / "service.log").read_text().splitlines() if "panicked" in line]
            if panics:
                print("\n".join(["the service panicked:", *panics]), file=sys.stderr)
                code = 1
    print(f"took {time.monotonic() - began:.0f} s")
    return min(code, 1)


if __name__ == "__main__":
    sys.exit(main())
