"""What trading tells the composition root; what comes out are frozen dataclasses."""

from apps.trade.selectors import SymbolTurnover, turnover_since

__all__ = ["SymbolTurnover", "turnover_since"]
