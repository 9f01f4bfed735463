"""Everything works in a process that cannot reach the network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# Runs the command and the page with every socket beyond loopback forbidden. Python itself
# reports each connection and name look-up to the audit hook (PEP 578). Where the system
# lets a user have a network of his own ("namespace" given), there is no other network at all.
SCRIPT = """
import base64, fcntl, json, socket, struct, sys, threading, urllib.request

LOOPBACK = ("127.0.0.1", "::1", "localhost")

def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise PermissionError(f"{event} to {address}")
    if event == "socket.getaddrinfo" and arguments[0] not in LOOPBACK:
        raise PermissionError(f"look-up of {arguments[0]}")

sys.addaudithook(refuse)
photo, kind = sys.argv[1:3]
if kind == "namespace":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except PermissionError:
    pass
else:
    sys.exit("the network is not shut")

from shelly_local.commands.main import main

assert main(["classify", "--json", photo]) == 0

from webapp import create_app
from webapp.server import create_server

server = create_server(create_app(), port=0)
threading.Thread(target=server.run, daemon=True).start()
url = f"http://127.0.0.1:{server.effective_port}"
page = urllib.request.urlopen(url, timeout=30).read().decode()
assert "Shelly" in page
image = "data:image/jpeg;base64," + base64.b64encode(open(photo, "rb").read()).decode()
request = urllib.request.Request(url + "/advice", json.dumps({"image": image}).encode())
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def test_classify_and_page_without_a_network(smiling_photo: Path, tmp_path: Path) -> None:
    isolated = ["unshare", "--net", "--map-root-user"]
    namespace = (
        shutil.which("unshare") is not None
        and not subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode
    )
    run = subprocess.run(
        [
            *(isolated if namespace else []),
            *(sys.executable, "-c", SCRIPT),
            *(str(smiling_photo), "namespace" if namespace else "process"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "SHELLY_DATA_DIR": str(tmp_path)},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    photo, answer = (json.loads(line) for line in run.stdout.splitlines() if line.startswith("{"))
    assert photo["faces"][0]["emotion"] == "happiness"
    assert answer["emotion"] == "happiness"
    assert answer["advice"]


def test_inference_engine_leaves_no_trace_of_its_telemetry(
    smiling_photo: Path, tmp_path: Path
) -> None:
    """It would keep an id of the machine and what it could not send yet below the home folder."""
    homes = ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    run = subprocess.run(
        [sys.executable, "-m", "shelly_local", "classify", "--json", str(smiling_photo)],
        env=environment | dict.fromkeys(homes, str(tmp_path)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert json.loads(run.stdout)["faces"][0]["emotion"] == "happiness"
    assert "telemetry" not in run.stderr
    assert [str(path) for path in tmp_path.rglob("*")] == []


def test_importing_the_library_loads_neither_torch_nor_flask() -> None:
    code = (
        "import sys; import shelly_local.vision.classifier, shelly_local.watson.client;"
        "print(sorted({'torch', 'flask', 'requests', 'facenet_pytorch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
