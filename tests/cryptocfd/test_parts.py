"""A part that fails is started again, says so in /readyz until it has worked for a while, and an engine that has stopped is not."""

import threading
from collections.abc import Callable

import pytest

from cryptocfd import health
from cryptocfd.parts import Part, parts_down


class Service:
    """Fails as often as it is told to, all instances together, then works until it is stopped."""

    made = 0

    def __init__(self, failures: int) -> None:
        self._stopped = threading.Event()
        self._fails = type(self).made < failures
        type(self).made += 1

    def run(self) -> None:
        if self._fails:
            raise ZeroDivisionError
        self._stopped.wait(20)

    def stop(self) -> None:
        self._stopped.set()


@pytest.fixture(autouse=True)
def nothing_made():
    Service.made = 0


def wait_for(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(1_000):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError


def end(part: Part) -> None:
    part.ask_to_stop()
    assert part.wait(20)
    assert part.name not in parts_down()


def test_a_part_that_fails_is_started_again_with_longer_pauses_and_counts_as_down_until_it_has_worked(
    caplog,
):
    part = Part("candles", make=lambda: Service(2), pause_seconds=0.02, well_seconds=0.3)

    part.start()
    wait_for(lambda: Service.made == 3)

    check = health._parts()
    assert not check.is_good
    assert check.detail == {"down": {"candles": {"failures": 2, "isRetried": True}}}
    failed = [record for record in caplog.records if "has failed" in record.message]
    paused = [record for record in caplog.records if "after a pause" in record.message]
    assert [(record.part, record.pause_seconds) for record in paused] == [
        ("candles", 0.02),
        ("candles", 0.04),
    ]
    assert failed[0].exc_info[0] is ZeroDivisionError
    wait_for(lambda: health._parts().is_good)
    assert part.is_running
    assert part.failure is None
    end(part)


def test_a_part_that_cannot_even_be_made_again_is_tried_again():
    def make() -> Service:
        if Service.made == 1:
            Service.made = 2
            raise OSError
        return Service(1)

    part = Part("history", make=make, pause_seconds=0.01)

    part.start()
    wait_for(lambda: Service.made == 3)

    assert parts_down()["history"].failures == 2
    end(part)


def test_a_part_stops_in_its_pause():
    part = Part("swap", make=lambda: Service(9), pause_seconds=60)

    part.start()
    wait_for(lambda: "swap" in parts_down())

    end(part)
    assert Service.made == 1


def test_where_somebody_is_told_of_a_failure_the_part_stays_down():
    told: list[str] = []
    part = Part("engine 0", make=lambda: Service(9), on_failure=told.append)

    part.start()

    assert part.wait(20)
    assert told == ["engine 0"]
    assert Service.made == 1
    assert not parts_down()["engine 0"].is_retried
    end(part)
