"""The WebSocket routes, composed from those of the apps."""

from django.urls import URLPattern

websocket_urlpatterns: list[URLPattern] = []
