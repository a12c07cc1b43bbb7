"""The pages of this app."""

from django.urls import path

from apps.notifications.views import NotificationsPage, PhonePage

page_urlpatterns = [
    path("settings/notifications", NotificationsPage.as_view(), name="settings-notifications"),
    path("settings/phone", PhonePage.as_view(), name="settings-phone"),
]
