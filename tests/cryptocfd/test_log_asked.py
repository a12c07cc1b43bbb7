"""What a start asks of the log: a server that comes back or loads is waited for, another fault is one sentence."""

import pytest
from redis import Redis
from redis.exceptions import BusyLoadingError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from cryptocfd import engine_config
from cryptocfd.embedded.errors import SetupError


def test_a_server_that_comes_back_and_loads_is_waited_for():
    faults = [
        RedisConnectionError("refused"),
        BusyLoadingError("loading"),
        BusyLoadingError("loading"),
    ]

    def question(_: Redis) -> str:
        if faults:
            raise faults.pop(0)
        return "there"

    assert engine_config.log_asked(question) == "there"


@pytest.mark.parametrize("fault", [RedisConnectionError("refused"), ResponseError("no")])
def test_a_server_that_stays_away_or_refuses_is_named_in_a_sentence(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine_config, "_BACK_SECONDS", 0.2)

    def question(_: Redis) -> str:
        raise fault

    with pytest.raises(SetupError, match="cannot be reached: check LOG_REDIS_URL"):
        engine_config.log_asked(question)
