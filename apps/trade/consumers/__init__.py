"""The WebSocket of the platform: one connection for prices, account events and orders (docs/asyncapi.yaml)."""

from apps.trade.consumers.socket import TradingSocket
from apps.trade.consumers.visitor import VisitorSocket

__all__ = ["TradingSocket", "VisitorSocket"]
