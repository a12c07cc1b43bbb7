"""The WebSocket routes, composed from those of the apps."""

from apps.trade.routing import websocket_urlpatterns as trade_sockets

websocket_urlpatterns = [*trade_sockets]
