"""The pages of this app."""

from django.urls import path

from apps.notifications.views import NotificationsPage

page_urlpatterns = [
    path("settings/notifications", NotificationsPage.as_view(), name="settings-notifications"),
]
