"""TLS: what sslyze finds, and requests while the certificate is replaced."""

import json
import pathlib
import re
import ssl
import subprocess
import sys
import time

from gate import Gate, Origin

REPLACEMENTS = 20
#: When a new certificate must be in use.
SEEN_S = 10
#: Findings that are about the certificate of this test, which is of no public authority.
OF_THE_TEST = ("certificate_path_validation",)
OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")


def certificate(folder, name):
    """A certificate for 127.0.0.1 of a new local authority; both files are replaced by renaming."""
    authority, key, request = folder / "ca.pem", folder / "ca.key", folder / "leaf.csr"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if not authority.exists():
        run("req", "-x509", *curve, "-keyout", key, "-out", authority, "-days", "30", "-subj", "/CN=Edge test authority")
        (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    leaf, leaf_key = folder / f"{name}.new.pem", folder / f"{name}.new.key"
    run("req", *curve, "-keyout", leaf_key, "-out", request, "-subj", "/CN=localhost")
    run("x509", "-req", "-in", request, "-CA", authority, "-CAkey", key, "-CAcreateserial", "-days", "10", "-out", leaf,
        "-extfile", folder / "san")
    leaf_key.rename(folder / f"{name}.key")
    leaf.rename(folder / f"{name}.pem")


def run(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def measure(part, binary, folder):
    certificate(folder, "leaf")
    pair = f"certificate: {folder}/leaf.pem, key: {folder}/leaf.key"
    server = f"listen: [{{address: '127.0.0.1:0', http2: true, tls: {{{pair}}}}}]"
    with Origin() as origin, Gate(binary, folder, origin, server) as gate:
        scan(part, gate, folder)
        replaced(part, gate, folder)


def scan(part, gate, folder):
    file = folder / "scan.json"
    tool = pathlib.Path(sys.executable).with_name("sslyze")
    command = [tool, "--json_out", file, "--certinfo_ca_file", folder / "ca.pem", "--early_data", "--resum"]
    target = ["--mozilla_config", "intermediate", f"127.0.0.1:{gate.port}"]
    text = subprocess.run([*command, *target], capture_output=True, text=True, timeout=120, check=False).stdout
    against = re.findall(r"(?m)^ +\* (\w+): (.*)", text.partition("COMPLIANCE AGAINST")[2])
    against = [f"{name}: {what}" for name, what in against if name not in OF_THE_TEST]
    part.add("Mozilla's intermediate configuration", "; ".join(against) or "kept", "kept", not against)
    scanned = json.loads(file.read_text())["server_scan_results"][0]["scan_result"]
    result = lambda name: scanned[name]["result"] or {}
    accepted = lambda name: [each["cipher_suite"]["name"] for each in result(f"{name}_cipher_suites")["accepted_cipher_suites"]]
    old = [name for name in OLD if accepted(name)]
    part.add("versions before TLS 1.2", ", ".join(old) or "none", "none", not old)
    suites = accepted("tls_1_2") + accepted("tls_1_3")
    weak = [name for name in accepted("tls_1_2") if not re.search(r"^TLS_ECDHE_.*(GCM|CHACHA20_POLY1305)", name)]
    told = f"{len(suites)} suites, {len(weak)} without forward secrecy or authenticated encryption"
    part.add("cipher suites", told, "TLS 1.3 and ECDHE with AEAD only", accepted("tls_1_3") and not weak)
    findings = {
        "compression": result("tls_compression").get("supports_compression"),
        "renegotiation by the client": result("session_renegotiation").get("is_vulnerable_to_client_renegotiation_dos"),
        "Heartbleed": result("heartbleed").get("is_vulnerable_to_heartbleed"),
        "CCS injection": result("openssl_ccs_injection").get("is_vulnerable_to_ccs_injection"),
        "ROBOT": not str(result("robot").get("robot_result", "")).startswith("NOT_VULNERABLE"),
        "early data": result("tls_1_3_early_data").get("supports_early_data"),
    }
    found = [name for name, is_there in findings.items() if is_there is not False]
    part.add(", ".join(findings), ", ".join(found) or "none", "none", not found)


def replaced(part, gate, folder):
    url = f"https://127.0.0.1:{gate.port}/"
    # As long as the replacements take; connections are renewed by the runs, streams by the requests.
    runs = []
    for number in range(REPLACEMENTS):
        tool = subprocess.Popen(["h2load", "-n", "2000", "-c", "8", "-m", "4", url], stdout=subprocess.PIPE, text=True)
        certificate(folder, "leaf")
        text, _ = tool.communicate(timeout=60)
        runs.append(re.search(r"(\d+) succeeded, (\d+) failed", text))
    began, shown = time.monotonic(), False
    wanted = (folder / "leaf.pem").read_text().strip()
    while not shown and time.monotonic() - began < SEEN_S:
        shown = ssl.get_server_certificate(("127.0.0.1", gate.port), timeout=5).strip() == wanted
        time.sleep(0.1)
    told = f"after {time.monotonic() - began:.1f} s" if shown else f"not after {SEEN_S} s"
    part.add("the last certificate is shown to new clients", told, f"within {SEEN_S} s", shown)
    good = sum(int(each[1]) for each in runs if each)
    wanted = 2000 * REPLACEMENTS
    part.add(f"requests while the certificate is replaced {REPLACEMENTS} times", f"{good} of {wanted} succeeded", "all", good == wanted)
