"""WebSocket routes of trading."""

from typing import Any

from django.urls import path

from apps.trade.consumers import TradingSocket, VisitorSocket

# Channels' router calls what stands here as an ASGI application; the type of path() knows views only.
_socket: Any = TradingSocket.serve
_visitors: Any = VisitorSocket.serve
websocket_urlpatterns = [path("ws/", _socket), path("ws/visitor", _visitors)]
