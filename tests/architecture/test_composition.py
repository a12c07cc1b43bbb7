"""compose.yaml against the code that it starts: commands, variables, users and volumes are ones that exist.

No container is started here: what a container would be told is read and held against the same parsers that it meets.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Those that are made of our own image.
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "cryptocfd"}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?:(:[-?])([^}]*))?\}")
# The log's user of each service; all others write commands and read answers, as the web process does.
USERS = {"engine": "engine", "standby": "engine", "feed": "feed", "projector": "projector"}
# What nobody can guess for an operator: any value will do here.
GIVEN = {
    "SNAPSHOT_KEYS": f"k1:{'A' * 43}=",
    "SECRET_KEY": "s" * 60,
    "API_KEY_KEYS": f"{'A' * 43}=",
}


def filled(text: str) -> str:
    """Return a value as Compose makes it of its template, with the required variables given."""

    def value(match: re.Match[str]) -> str:
        name, mark, rest = match.groups()
        return rest if mark == ":-" else GIVEN.get(name, "given")

    return VARIABLE.sub(value, str(text))


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """Return what a service is told where .env gives only what must be given: a name alone is not passed on then."""
    environment = service.get("environment", {})
    return {name: filled(value) for name, value in environment.items() if value is not None}


def known_variables() -> set[str]:
    """Return every name that .env.example explains."""
    text = (REPOSITORY / ".env.example").read_text()
    return set(re.findall(r"^#?([A-Z][A-Z_]*)=", text, re.MULTILINE))


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_that_takes_its_arguments(name: str) -> None:
    service = OURS[name]
    words = service.get("command") or service["entrypoint"][2].split(">")[0].split()[2:]
    command, arguments = words[0], words[1:]

    assert command in get_commands()
    load_command_class(get_commands()[command], command).create_parser("x", command).parse_args(
        arguments
    )


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_told_nothing_that_the_settings_do_not_know(name: str) -> None:
    assert OURS[name].get("environment", {}).keys() <= known_variables()


def test_what_an_operator_sets_reaches_the_services() -> None:
    # The image says where a container keeps its data and listens, and that its parts are apart; the rest is of the embedded
    # servers, of compose itself or for developers.
    not_theirs = {
        *("DATA_DIR", "HOST", "PORT", "ENGINE_MODE", "LOG_FSYNC", "DEBUG", "POSTGRES_PASSWORD"),
        *(name for name in known_variables() if name.startswith("LOG_PASSWORD_")),
    }
    told = SERVICES["web"]["environment"]

    assert known_variables() - told.keys() == not_theirs
    # A name alone that .env does not know takes away what the image says.
    image = re.findall(r"(\w+)=", (REPOSITORY / "Dockerfile").read_text())
    assert not [name for name in image if name in told and told[name] is None]
    for name in ("engine", "standby", "feed", "projector", "worker"):
        missing = told.keys() - SERVICES[name]["environment"].keys()
        sealing = set() if name == "worker" else {"PIN_PEPPER", "API_KEY_KEYS"}
        assert missing == {"ASGI_SERVER", "FORWARDED_ALLOW_IPS"} | sealing, name


def test_operators_find_every_variable_of_the_composition_in_the_example() -> None:
    named = {match[1] for match in VARIABLE.finditer((REPOSITORY / "compose.yaml").read_text())}

    assert named <= known_variables()


def test_operators_find_every_variable_that_the_settings_read_in_the_example() -> None:
    source = (REPOSITORY / "cryptocfd" / "env.py").read_text()
    read = set(re.findall(r"""(?:env\.\w+\(|\(env, )"([A-Z_]+)\"""", source))

    # manage.py sets it for the processes that serve.
    assert read - known_variables() == {"DATABASE_POOL"}
    assert len(read) > 40


def test_the_settings_can_be_made_of_what_every_service_is_told(tmp_path: Path) -> None:
    script = (
        "from django.conf import settings as s; import json;"
        "print(json.dumps([s.ENGINE_MODE, s.LOG_REDIS_URL, s.REDIS_URL, s.DATABASES['default']['HOST']]))"
    )
    read = {}
    for name, service in OURS.items():
        if "DATABASE_URL" not in service["environment"]:
            continue
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env={
                "PATH": os.environ["PATH"],
                "DJANGO_SETTINGS_MODULE": "cryptocfd.settings",
                # As the Dockerfile sets them.
                "ENGINE_MODE": "remote",
                "DATA_DIR": str(tmp_path / name),
                **environment_of(service),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (name, done.stderr)
        read[name] = done.stdout

    assert read.keys() == {"migrate", "web", "engine", "standby", "feed", "projector", "worker"}
    # What a container makes for itself is gone with it: who opens clients' secrets is given every key.
    for name in ("web", "worker"):
        assert list((tmp_path / name).glob("secrets/*")) == []
    for name, told in read.items():
        user = USERS.get(name, "web")
        assert f'"redis://{user}:given@valkey-log:6379"' in told, (name, told)
        assert told.startswith('["remote"'), (name, told)
        assert '"postgres"]' in told, (name, told)


def test_every_service_waits_for_ones_that_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, wish in service.get("depends_on", {}).items():
            assert other in SERVICES, (name, other)
            is_once = wish["condition"] == "service_completed_successfully"
            assert is_once == (SERVICES[other]["restart"] == "no"), (name, other)
            if not is_once:
                assert wish["condition"] == "service_healthy"
                assert "healthcheck" in SERVICES[other], (name, other)


def test_every_volume_is_declared_and_used_and_no_two_engines_share_one() -> None:
    mounts = [
        (name, volume.split(":")[0])
        for name, service in SERVICES.items()
        for volume in service.get("volumes", [])
    ]
    used = [volume for _, volume in mounts]

    assert set(used) == COMPOSE["volumes"].keys()
    snapshots = [volume for name, volume in mounts if name in {"engine", "standby"}]
    assert len(set(snapshots)) == len(snapshots) == 2


def test_an_engine_that_comes_back_after_its_succession_follows() -> None:
    engines = [name for name, service in SERVICES.items() if "engine" in service.get("command", [])]

    assert engines == ["engine", "standby"]
    assert all("--standby" in SERVICES[name]["command"] for name in engines)


def test_the_log_is_kept_on_the_disk_before_anybody_is_answered() -> None:
    words = SERVICES["valkey-log"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))

    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"


def test_text_is_compared_as_in_the_embedded_database() -> None:
    embedded = (REPOSITORY / "cryptocfd" / "embedded" / "postgres.py").read_text()
    told = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()

    assert sorted(told) == sorted(re.findall(r'"(--(?:encoding|locale)=\S+)"', embedded))
