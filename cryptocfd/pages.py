"""The pages that people see: landing, terminal, licences. They render shells; numbers come by REST and by the socket.

Pages of one app (mail links, devices) live in that app. Little is asked of the database: the session's user, and on the
terminal whether that user has an account yet.
"""

import logging
from typing import Any

from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.generic import RedirectView, TemplateView
from typing_extensions import override

from apps.auth.facade import viewer_of
from apps.common.errors import ServiceError
from apps.common.refusals import sentences_in
from apps.profile.facade import accounts_of_user, demo_account_seed
from cryptocfd.api_cards import api_cards
from cryptocfd.env import BASE_DIR
from cryptocfd.figures import figures
from cryptocfd.languages import language_of

logger = logging.getLogger(__name__)

# What the terminal shows to somebody who has not chosen an instrument yet.
FIRST_SYMBOL = "BTCUSDT"
LICENCES_DIR = BASE_DIR / "static" / "vendor" / "licences"


class LandingPage(TemplateView):
    """The front door; who is signed in already goes on to the terminal."""

    template_name = "pages/landing.html"

    @override
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect("terminal", symbol=FIRST_SYMBOL)
        return super().get(request, *args, **kwargs)

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            **kwargs,
            cards=api_cards(),
            figures=figures(),
            demo_balance=f"{int(settings.DEMO_BALANCE):,}",
        )


def _refusals(request: HttpRequest) -> dict[str, list[str]]:
    """Return the engine's refusals in the language of who reads a page: static/terminal/refusals.js tells them for people."""
    return sentences_in(language_of(request))


class TerminalPage(LoginRequiredMixin, TemplateView):
    """The terminal; whoever comes for the first time gets the demo account that the landing page promises."""

    template_name = "pages/terminal.html"

    @override
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user_id = request.user.pk
        # Who only looks at somebody's pages opens nothing for them.
        is_own = viewer_of(request) is None
        if user_id is not None and is_own and not accounts_of_user(user_id):
            try:
                demo_account_seed(user_id)
            except ServiceError as error:
                # The page shows by itself that there is no account yet, and the next visit tries again.
                logger.warning("no demo account yet", extra={"user": user_id, "code": error.code})
        return super().get(request, *args, **kwargs)

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # static/terminal/app.js reads this once, from the element `boot`.
        boot = {"symbol": kwargs["symbol"].upper()}
        return super().get_context_data(**kwargs, boot=boot, refusals=_refusals(self.request))


class LicencesPage(TemplateView):
    template_name = "pages/licences.html"

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        texts = {file.stem: file.read_text() for file in sorted(LICENCES_DIR.glob("*.txt"))}
        return super().get_context_data(**kwargs, texts=texts)


class HelpPage(TemplateView):
    """How margin, leverage, stop-out and swap work, with the reader's own numbers."""

    template_name = "pages/help.html"


class PortfolioPage(LoginRequiredMixin, TemplateView):
    """What an account has achieved; its numbers come by REST."""

    template_name = "pages/portfolio.html"

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, refusals=_refusals(self.request))


page_urlpatterns = [
    path("", LandingPage.as_view(), name="landing"),
    path("trade", RedirectView.as_view(pattern_name="terminal"), {"symbol": FIRST_SYMBOL}),
    path("trade/<slug:symbol>", TerminalPage.as_view(), name="terminal"),
    path("portfolio", PortfolioPage.as_view(), name="portfolio"),
    path("help", HelpPage.as_view(), name="help"),
    path("offline", TemplateView.as_view(template_name="pages/offline.html"), name="offline"),
    path(
        "manifest.webmanifest",
        TemplateView.as_view(
            template_name="pwa/manifest.webmanifest", content_type="application/manifest+json"
        ),
        name="manifest",
    ),
    # At the root, since a service worker rules over the folder that it comes from.
    path(
        "sw.js",
        TemplateView.as_view(template_name="pwa/sw.js", content_type="text/javascript"),
        name="service-worker",
    ),
    path("licences", LicencesPage.as_view(), name="licences"),
]
