"""The whole product as a child process: `manage.py serve` with servers and data of its own, and clients of its API."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from apps.common.exact_json import json_decode
from cryptocfd.embedded.processes import wait_until
from cryptocfd.embedded.servers import EmbeddedServers
from tests.integration.forking import Forked, Forks

REPOSITORY = Path(__file__).resolve().parents[2]
MANAGE = REPOSITORY / "manage.py"
SIMULATOR = "simulator:seed=7"
# httpx would read the machine's certificates anew for each call, which takes longer than the call; nothing here is encrypted.
TRUST = ssl.create_default_context()
_SERVE_MODULE = "tests.integration.serve_process"

_USERS_SCRIPT = """
from apps.auth.facade import login_link_create
for number in range({count}):
    print("LINK", login_link_create(f"{name}{{number}}@example.com").url)
"""


class Product:
    """One installation that can be started, killed and started again."""

    def __init__(
        self, *, feeds: str = SIMULATOR, is_forked: bool = False, **environment: str
    ) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="product-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._environment = (
            kept
            | {
                "DATA_DIR": str(self.data_dir),
                "PORT": str(self.port),
                "FEEDS": feeds,
                "SIMULATED_HISTORY": "false",
                "PYTHONUNBUFFERED": "1",
            }
            | environment
        )
        self._output = self.data_dir / "output.txt"
        self._process: subprocess.Popen[bytes] | Forked | None = None
        # Who is started many times does the imports once.
        self._forks = Forks(_SERVE_MODULE, self._environment) if is_forked else None

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        """Return where sockets are opened."""
        return f"ws://127.0.0.1:{self.port}/ws/"

    @property
    def text(self) -> str:
        """Return what the current run has printed."""
        return self._output.read_text(errors="replace")

    def start(self, *, until: str = "Stop  ") -> "Product":
        """Start it and wait until it has printed its banner, or another text."""
        # Else what the run before has printed could be taken for this one's.
        self._output.write_bytes(b"")
        if self._forks is not None:
            self._process = process = self._forks.start(str(self._output))
        else:
            self._process = process = self._program()
        wait_until(lambda: until in self.text or process.poll() is not None, seconds=60)
        assert until in self.text, self.text
        return self

    def _program(self) -> "subprocess.Popen[bytes]":
        with self._output.open("wb") as stream:
            return subprocess.Popen(
                [sys.executable, str(MANAGE), "serve"],
                env=self._environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End the process as a power cut would; its servers stay as orphans."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """End it as Ctrl-C does, and return its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(30)

    def close(self) -> None:
        """End everything that belongs to it and remove its data."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        if self._forks is not None:
            self._forks.close()
        servers = EmbeddedServers(self.data_dir)
        # Takes over what a kill has left running, and ends it.
        servers.start()
        servers.stop()
        servers.data_remove()

    def manage(self, *arguments: str) -> str:
        """Run another management command beside it and return what it printed."""
        done = subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def beside(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin another management command beside it, and return it with its output; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, str(MANAGE), *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def client(self, email: str, *, factor: str = "") -> "Client":
        """Return a signed-in client of a user, who has shown a second factor if there is one."""
        link = re.search(r"http\S+token=\S+", self.manage("login", email))
        assert link is not None
        return Client(self, link.group() + (f"&factor={factor}" if factor else ""))

    def clients(self, count: int, name: str = "trader") -> list["Client"]:
        """Return signed-in clients of that many new users of a name."""
        printed = self.manage("shell", "-c", _USERS_SCRIPT.format(count=count, name=name))
        return [Client(self, link) for link in re.findall(r"LINK (http\S+)", printed)]


class Client:
    """One user's client of the REST API; numbers come back exact."""

    def __init__(self, product: Product, link: str) -> None:
        self._product = product
        answer = httpx.get(link, headers={"Accept": "application/json"}, timeout=10, verify=TRUST)
        assert answer.status_code == 200, answer.text
        self.token: str = answer.json()["data"]["accessToken"]

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Return status and envelope of one call."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if key:
            headers["Idempotency-Key"] = key
        answer = httpx.request(
            method,
            f"{self._product.url}/api/v1{path}",
            json=body,
            headers=headers,
            timeout=10,
            verify=TRUST,
        )
        envelope: dict[str, Any] = json_decode(answer.content)
        return answer.status_code, envelope

    def get(self, path: str) -> Any:
        """Return the data of a GET that must succeed."""
        status, envelope = self.call("GET", path)
        assert status == 200, envelope
        return envelope["data"]

    def post(self, path: str, body: dict[str, Any] | None = None, *, key: str = "") -> Any:
        """Return the data of a POST that must succeed."""
        status, envelope = self.call("POST", path, body, key=key)
        assert status == 200, envelope
        return envelope["data"]

    @property
    def balance(self) -> Decimal:
        """Return the balance of the default account."""
        balance: Decimal = self.get("/balance")["message"]
        return balance
