"""The engine's process needs a Unix socket to the log and its own folder, and gets no more (S-48)."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import load_command_class

from engine.messages.commands import DefineGroup
from engine.messages.definitions import GroupSpec
from engine.values import Actor
from tests.integration.engine_log import LogHand, engine_config, wait_for

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "systemd" / "cryptocfd-engine@.service"
PLATFORM_UNIT = UNIT.with_name("cryptocfd.service")
EXPOSURE_MAX = 3.0


@pytest.mark.integration
def test_s48_the_engine_lives_without_network_and_without_a_shell(
    log_redis_url, redis_url, stream_prefix, tmp_path
):
    keys = tmp_path / "snapshot_keys"
    keys.write_text("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    keys.chmod(0o400)
    hand = LogHand(engine_config(stream_prefix, log_redis_url, redis_url, tmp_path))
    arguments = ["--snapshot-dir", tmp_path / "snapshots", "--snapshot-keys-file", keys]
    arguments += ["--prefix", stream_prefix]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.fenced_engine", *map(str, arguments)],
        cwd=ROOT,
        # As the unit does it: addresses may hold passwords, and every user of a machine reads command lines.
        env=os.environ | {"LOG_REDIS_URL": log_redis_url, "REDIS_URL": redis_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        hand.append(
            DefineGroup(
                request_id="g",
                source="test",
                actor=Actor.SYSTEM,
                spec=GroupSpec(name="g", version=1, commission_ppm=0),
            ),
            gateway=b"",
        )
        wait_for(lambda: process.poll() is not None or hand.outputs(), "the first output")
    finally:
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=30)

    assert said.split() == ["network", "shell"]
    assert process.returncode == 0, complained
    assert len(hand.outputs()) == 1
    assert list((tmp_path / "snapshots").iterdir())


def _unit(path: Path = UNIT) -> dict[str, list[str]]:
    """Return the settings of a unit's service, each with all of its values."""
    settings: dict[str, list[str]] = {}
    lines = path.read_text().partition("[Service]")[2].partition("[Install]")[0].splitlines()
    for line in lines:
        name, found, value = line.partition("=")
        if found and not line.startswith("#"):
            settings.setdefault(name, []).append(value)
    return settings


def test_s48_the_unit_fences_the_engine_in():
    unit = _unit()

    assert unit["User"] == ["cryptocfd-engine"]
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert unit["NoExecPaths"] == ["/"]
    assert not any("bin/sh" in path or "/bin " in path for path in unit["ExecPaths"])
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert {"MemoryMax", "TasksMax", "SystemCallFilter"} <= unit.keys()
    for name in ("NoNewPrivileges", "PrivateNetwork", "PrivateDevices", "ProtectHome"):
        assert unit[name] == ["yes"], name
    # What the program takes, and nothing that would make it another's work to find out.
    arguments = unit["ExecStart"][0].split()
    assert arguments[1:3] == ["-m", "engine"]
    told = subprocess.run(
        [sys.executable, "-m", "engine", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [name for name in arguments if name.startswith("--") and name not in told.stdout] == []
    _require_exposure(UNIT)


def _require_exposure(unit: Path) -> None:
    # Containers have no systemd; where it is, it has the last word.
    if systemd := shutil.which("systemd-analyze"):
        judged = subprocess.run(
            [systemd, "security", "--offline=true", "--no-pager", unit],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        level = judged.stdout.rpartition("exposure level for")[2].split(":")[1].split()[0]
        assert float(level) <= EXPOSURE_MAX


def test_the_unit_of_the_whole_platform_stops_it_in_order_and_hides_its_servers_from_nobody():
    unit = _unit(PLATFORM_UNIT)

    words = unit["ExecStart"][0].split()
    assert words[1] == "manage.py"
    load_command_class("cryptocfd", words[2]).create_parser("x", words[2]).parse_args(words[3:])
    # All at once, the servers would be gone before the parts that need them for their last words.
    assert unit["KillMode"] == ["mixed"]
    assert unit["User"] == ["cryptocfd"]
    assert "PrivateTmp" not in unit
    _require_exposure(PLATFORM_UNIT)


def test_s48_containers_are_fenced_in_too():
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())

    for name in ("engine", "standby"):
        service = composed["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["networks"] == ["inside"]
        assert {"mem_limit", "pids_limit"} <= service.keys()
    # It leads to the servers and nowhere else.
    assert composed["networks"]["inside"] == {"internal": True}
    assert "USER cryptocfd" in (ROOT / "Dockerfile").read_text()
