"""What trading tells the composition root; what comes out are frozen dataclasses."""

from apps.trade.selectors import SymbolTurnover, projected_number, turnover_since

__all__ = ["SymbolTurnover", "projected_number", "turnover_since"]
