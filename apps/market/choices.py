"""Values of market columns that the engine knows under the same names; labels are for the admin."""

from django.db import models

from engine.values import SourceClass, TradingMode


class PriceSource(models.TextChoices):
    """Class of the prices that an instrument takes; empty until a feed has pinned it."""

    LIVE = SourceClass.LIVE.value, "live"
    REPLAY = SourceClass.REPLAY.value, "replayed"
    SIMULATED = SourceClass.SIMULATED.value, "simulated"


class Mode(models.TextChoices):
    """What an instrument allows."""

    OPEN = TradingMode.OPEN.value, "open"
    CLOSE_ONLY = TradingMode.CLOSE_ONLY.value, "close only"
    HALTED = TradingMode.HALTED.value, "halted"


class Liquidity(models.TextChoices):
    """How deep the outside market is; decides the defaults of docs/INSTRUMENTS.md."""

    MAJOR = "major", "major"
    OTHER = "other", "other"


class ModeChangeState(models.TextChoices):
    """What became of the wish to change a trading mode."""

    WAITING = "waiting", "waits for a second person"
    # Two people agreed; the command is on its way and is sent until the engine has answered.
    CONFIRMED = "confirmed", "on its way"
    DONE = "done", "in force"
    REFUSED = "refused", "refused by the engine"
    WITHDRAWN = "withdrawn", "withdrawn"
