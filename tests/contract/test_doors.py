"""The doors of the whole site: other origins, forged forms, failures, limits, outgoing requests, the queue, checks.

Requirements S-07, S-25 to S-29, S-33, S-41, S-46 and S-47; secrets have a file of their own.
"""

import json
import os
import pickle
import re
import socket
import ssl
import subprocess
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import django_rq
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from rq import SimpleWorker
from rq.timeouts import TimerDeathPenalty

from apps.auth.facade import login_link_create
from apps.auth.models import User
from apps.common.exact_json import json_decode, json_encode
from apps.market.feed.rest import ask_well
from cryptocfd import web_server

ROOT = Path(__file__).resolve().parents[2]
DEVICES = "/api/v1/auth/devices"
TOP_UP = "/api/v1/accounts"


@pytest.fixture
def dora(transactional_db) -> User:
    return User.objects.create_user("dora@example.com")


def browser_of(user: User) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@pytest.mark.integration
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:8000.evil.example"]
)
@pytest.mark.parametrize("method", ["get", "options", "post"])
def test_s26_no_other_site_may_read_with_a_persons_cookies(dora, origin, method):
    answer = getattr(browser_of(dora), method)(
        DEVICES, headers={"origin": origin, "access-control-request-method": "GET"}
    )

    assert [name for name in answer.headers if name.lower().startswith("access-control-")] == []


@pytest.mark.integration
def test_s27_a_form_of_another_site_changes_nothing(dora):
    client = browser_of(dora)

    forged = client.post(TOP_UP, {"kind": "demo"}, content_type="application/json")
    page = client.post("/settings/profile", {"name": "Mallory"})

    assert (forged.status_code, page.status_code) == (403, 403)
    assert User.objects.get().name == ""
    # A token proves by itself that its owner sends it: no other site can add the header.
    link = login_link_create("dora@example.com").url
    token = Client().get(link, headers={"accept": "application/json"}).json()["data"]["accessToken"]
    headers = {"authorization": f"Bearer {token}"}
    answer = Client(enforce_csrf_checks=True).post("/api/v1/auth/verify-user", headers=headers)
    assert answer.status_code == 200


@pytest.mark.integration
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/octet-stream"]
)
def test_s27_the_api_reads_no_other_kinds_of_bodies(db, content_type):
    answer = Client().post("/api/v1/auth/login", b'{"email": "a@b.de"}', content_type=content_type)

    assert answer.status_code == 415


@pytest.mark.integration
def test_s28_a_failure_tells_nothing_of_the_inside(dora, monkeypatch):
    def fail(**_: object) -> None:
        raise RuntimeError("SELECT secret FROM accounts_user")

    monkeypatch.setattr("apps.auth.views.keys.keys_of_user", fail)
    client = browser_of(dora)
    client.raise_request_exception = False

    answer = client.get("/api/v1/keys", headers={"accept": "application/json"})

    assert answer.status_code == 500
    text = answer.content.decode()
    assert json_decode(answer.content)["success"] is False
    assert not re.search(r"SELECT|RuntimeError|Traceback|\.py|accounts_user", text)
    assert django_settings.DEBUG is False


@pytest.mark.integration
def test_s28_the_queues_dashboard_is_for_staff(dora):
    for client in (Client(), browser_of(dora)):
        assert client.get("/admin/django_rq/dashboard/").status_code in {302, 403}


@pytest.mark.parametrize(("depth", "is_deep"), [(9, False), (10, True), (10_000, True)])
def test_s25_json_nests_ten_deep_at_most(depth, is_deep, db):
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        inner = opening * depth + b"1" + closing * depth
        body = b'{"email": ' + inner + b"}"

        answer = Client().post("/api/v1/auth/login", body, content_type="application/json")

        assert answer.status_code == 400
        assert ("nested too deep" in json_decode(answer.content)["message"]) is is_deep


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ('{"quantity": "0.01", "quantity": "1"}', "quantity"),
        ('[{"legs": [{"side": "buy", "at": "12:00", "side": "sell"}]}]', "side"),
        ('{"quantity": 1, "quantit\\u0079": 1}', "quantity"),
    ],
)
def test_a_name_that_stands_twice_is_refused(text, twice):
    for raw in (text, text.encode()):
        with pytest.raises(ValueError, match=f"'{twice}' stands twice in one object"):
            json_decode(raw)


@pytest.mark.parametrize("text", ['{"at": "12:00", "in": {"at": "a:b:c"}}', '["a:b"]', '":"'])
def test_colons_in_texts_are_no_names(text):
    assert json_decode(text) == json.loads(text)


@pytest.mark.integration
def test_a_body_with_a_name_twice_is_a_400(db):
    body = b'{"email": "a@b.de", "email": "c@d.de"}'
    answer = Client().post("/api/v1/auth/login", body, content_type="application/json")

    assert answer.status_code == 400
    assert "'email' stands twice in one object" in json_decode(answer.content)["message"]


def test_s25_wide_json_is_no_deep_json():
    assert json_decode(json_encode([{"a": [1]}] * 100)) == [{"a": [1]}] * 100


@pytest.mark.integration
@pytest.mark.django_db
def test_s36_browsers_tell_of_violations_and_the_log_keeps_no_token(
    stream_prefix, embedded_servers, caplog
):
    report = {
        "csp-report": {
            "document-uri": "http://localhost:8000/auth/verify?token=secret-of-a-link",
            "blocked-uri": "https://evil.example/x.js?stolen=1",
            "violated-directive": "script-src",
        }
    }

    def send(body: object) -> int:
        return Client().post("/csp-report", body, content_type="application/csp-report").status_code

    policy = Client().get("/auth/sign-in").headers["Content-Security-Policy"]
    assert "report-uri /csp-report" in policy
    answers = [send(json_encode(report)) for _ in range(30)]
    junk = [send(body) for body in (b"", b"[]", b"{", b'{"csp-report": 1}', b"[" * 60_000)]

    assert set(answers) | set(junk) == {204}
    written = [row for row in caplog.records if row.name == "cryptocfd.csp_reports"]
    assert len(written) == 20
    assert (written[0].page, written[0].blocked) == (
        "http://localhost:8000/auth/verify",
        "https://evil.example/x.js",
    )
    assert "secret" not in caplog.text
    assert Client().get("/csp-report").status_code == 405


def test_s29_a_venue_that_redirects_is_not_followed():
    """As a venue that was taken over would do, to have the server ask its own network."""
    asked: list[str] = []

    class Venue(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Venue) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(Exception, match="status 302"):
            ask_well(f"http://127.0.0.1:{server.server_port}", "/prices", timeout=5)

    assert asked == ["/prices"]


# Whoever adds a line here lets the platform ask another host.
ASKED = {
    "data-stream.binance.vision",
    "data-api.binance.vision",
    "fstream.binance.com",
    "fapi.binance.com",
}
# Names in texts that nothing connects to: this machine, a namespace of SVG, and an address that is taken out of Redoc.
NAMED = {"localhost", "127.0.0.1", "www.w3.org", "cdn.redoc.ly"}


def test_s29_no_other_host_is_asked_than_those_on_the_list():
    """Feeds of the optional ccxt ask the hosts that it knows for the exchange that an operator names."""
    hosts = {
        host
        for folder in ("apps", "cryptocfd", "engine")
        for path in (ROOT / folder).rglob("*.py")
        for host in re.findall(r"(?:https?|wss?)://([A-Za-z0-9][\w.-]*)", path.read_text())
    }

    assert hosts == ASKED | NAMED


def test_s29_a_venues_name_that_leads_to_another_machine_is_not_believed(tmp_path):
    """As after DNS rebinding: the name is the venue's, the machine is not, so it has no certificate for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    class Server(HTTPServer):
        def handle_error(self, *args: object) -> None:
            """Say nothing of a client that goes away."""

    with Server(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        with pytest.raises(ssl.SSLCertVerificationError):
            ask_well(f"https://localhost:{server.server_port}", "/prices", timeout=5)
        thread.join(10)


def test_s33_sockets_are_asked_for_a_sign_of_life_and_not_compressed(monkeypatch):
    served: list[uvicorn.Config] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, **_: served.append(server.config))

    with socket.socket() as listener:
        web_server._uvicorn_run(object(), listener, lambda: None, lambda: None)

    (config,) = served
    assert (config.ws_ping_interval, config.ws_ping_timeout) == (20, 20)
    assert config.ws_per_message_deflate is False
    assert config.ws_max_size == 16 * 1024


class Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty


class Opened:
    """What a pickle does to whoever opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_s41_a_pickle_in_the_queue_is_not_opened(embedded_servers, tmp_path, caplog):
    queue = django_rq.get_queue()
    queue.empty()
    job = queue.enqueue("apps.common.outbox.outbox_run", 1)
    trap = tmp_path / "opened"
    queue.connection.hset(job.key, "data", pickle.dumps(Opened(trap)))

    Worker([queue], connection=queue.connection, serializer=queue.serializer).work(burst=True)
    queue.empty()

    assert not trap.exists()
    assert queue.serializer.__name__ == "JSONSerializer"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_s46_every_dependency_is_pinned_with_its_hashes(name):
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]

    assert len(lines) > 40
    loose = [
        line[:60]
        for line in lines
        if not re.match(r"[\w.-]+(\[[\w, -]+\])?==\S+ .*--hash=sha256:", line)
    ]
    assert loose == []
    assert (ROOT / "Makefile").read_text().count("--require-hashes -r requirements") >= 2


def _pins(lock: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==", (ROOT / lock).read_text(), re.MULTILINE))


def test_s46_the_bill_of_materials_names_every_package_with_its_digests(tmp_path):
    """As `make audit` writes it; without the check against its schema, which takes longer than all the rest."""
    path = tmp_path / "bill.json"
    subprocess.run(
        [
            Path(sys.executable).with_name("cyclonedx-py"),
            *("requirements", "--of", "JSON", "--no-validate", "--output-file"),
            path,
            ROOT / "requirements.txt",
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )

    components = json.loads(path.read_text())["components"]
    assert {row["name"].lower() for row in components} == _pins("requirements.txt")
    assert all(row["version"] and row["externalReferences"][0]["hashes"] for row in components)


def test_s46_the_audit_skips_no_package():
    """What it then asks of the registries needs a network (`make audit`); what it would ask about does not."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("pip-audit"),
            *("--dry-run", "--strict", "--disable-pip", "--require-hashes", "--requirement"),
            ROOT / "requirements.txt",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    count = re.search(r"would have audited (\d+) packages", done.stderr)
    assert count is not None
    # Some are for other systems; those that this one would install are all there.
    assert 0.9 * len(_pins("requirements.txt")) <= int(count[1]) <= len(_pins("requirements.txt"))
    assert "pip-audit --strict" in (ROOT / "Makefile").read_text()


BAD_LINES = {
    "S301": "import pickle\n\npickle.loads(b'')\n",
    "S307": "eval('1')\n",
    "S602": "import subprocess\n\nsubprocess.run('ls', shell=True)\n",
    "S506": "import yaml\n\nyaml.load('', Loader=yaml.Loader)\n",
    "S308": "from django.utils.safestring import mark_safe\n\nmark_safe(input())\n",
    "S324": "import hashlib\n\nhashlib.md5(b'')\n",
    "S608": "name = 'x'\nquery = f'SELECT * FROM {name}'\n",
}


@pytest.mark.parametrize("rule", BAD_LINES)
def test_s47_the_static_checks_refuse_what_is_dangerous(rule):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--stdin-filename", "apps/common/bad.py", "-"],
        input=BAD_LINES[rule],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert rule in done.stdout


def test_s07_behind_https_cookies_are_bound_to_the_host_and_to_https(tmp_path):
    code = (
        "from cryptocfd.settings import *\n"
        "print(SESSION_COOKIE_NAME, CSRF_COOKIE_NAME, LOGIN_NONCE_COOKIE_NAME)\n"
        "print(SESSION_COOKIE_SECURE, CSRF_COOKIE_SECURE, SESSION_COOKIE_HTTPONLY, SESSION_COOKIE_SAMESITE)\n"
        "print(SECURE_HSTS_SECONDS, SECURE_HSTS_INCLUDE_SUBDOMAINS, SECURE_SSL_REDIRECT)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"DATA_DIR": str(tmp_path), "PUBLIC_URL": "https://trade.example.com"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    names, flags, transport = done.stdout.splitlines()
    assert all(name.startswith("__Host-") for name in names.split())
    assert flags == "True True True Lax"
    assert transport == "31536000 True True"
