"""WebSocket routes of trading."""

from typing import Any

from django.urls import path

from apps.trade.consumers import TradingSocket

# Channels' router calls what stands here as an ASGI application; the type of path() knows views only.
_socket: Any = TradingSocket.serve
websocket_urlpatterns = [path("ws/", _socket)]
