"""The admin: who gets in, and that what only the engine may write is read-only for everybody (S-37)."""

from decimal import Decimal

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.auth import facade
from apps.auth.models import User
from apps.common.audit import audit_note
from apps.common.models import AuditEntry
from apps.common.read_only_admin import ReadOnlyAdmin
from apps.market.facade import catalogue_install, instrument_get
from apps.market.models import Instrument
from apps.notifications.models import Delivery
from apps.trade.models import Position
from cryptocfd.back_office import navigation
from tests.apps.second_factor import guard

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

# What staff may set going on derived rows; none of it changes a row by hand. What was given up goes out once more, and a
# decision of two people becomes a command to the engine.
ACTIONS = {
    "common.OutboxEffect": {"try_again"},
    "market.Instrument": {"price_source_set"},
    "market.ModeChange": {"confirm", "withdraw"},
    "profile.CashRequest": {"approve", "give_back"},
    "profile.KycFile": {"approve", "reject"},
    "usersessions.UserSession": {"sign_out"},
}
OURS = sorted(
    (
        model
        for model in admin.site._registry
        if model not in {User, Group} and model.__module__ != "django_rq.models"
    ),
    key=lambda model: model._meta.label,
)


@pytest.fixture
def cast() -> dict[str, User]:
    facade.users_seed()
    return {user.name.lower(): user for user in User.objects.all()}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def pages_of(model: type[models.Model]) -> dict[str, str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    return {
        "list": reverse(f"{name}_changelist"),
        "add": reverse(f"{name}_add"),
        "delete": reverse(f"{name}_delete", args=["1"]),
    }


def test_visitors_are_sent_to_the_sign_in_page_and_back():
    answer = Client().get("/admin/")
    assert (answer.status_code, answer.url) == (302, "/admin/login/?next=/admin/")

    answer = Client().get(answer.url)
    assert (answer.status_code, answer.url) == (302, "/auth/sign-in?next=%2Fadmin%2F")


def test_there_is_no_way_in_by_password(cast):
    cast["bob"].set_password("secret-secret")
    cast["bob"].save()

    answer = Client().post(
        "/admin/login/", {"username": "bob@example.com", "password": "secret-secret"}
    )

    assert answer.status_code == 302
    assert Session.objects.count() == 0


def test_staff_sign_in_by_a_link(visitor, post_form):
    facade.users_seed()
    post_form(visitor, facade.login_link_create("bob@example.com").url, "/auth/verify")

    answer = visitor.get("/admin/")

    assert answer.status_code == 200
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"].split("style-src")[0]


def test_others_stay_outside(cast):
    client = client_of(cast["charlie"])

    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/login/?next=/admin/").status_code == 403
    for model in OURS:
        assert client.get(pages_of(model)["list"]).status_code == 302


def test_password_pages_are_absent(cast):
    assert client_of(cast["bob"]).get("/admin/password_change/").status_code == 404


def test_the_menu_leads_to_every_list_and_shows_staff_what_they_may_see(cast):
    charlie = cast["charlie"]
    User.objects.filter(pk=charlie.pk).update(is_staff=True)
    charlie.user_permissions.set(Permission.objects.filter(codename="view_auditentry"))

    links = [item["link"] for group in navigation() for item in group["items"]]
    page = client_of(charlie).get("/admin/").content.decode()

    assert {pages_of(model)["list"] for model in [*OURS, User]} <= {str(link) for link in links}
    assert "Audit log" in page
    assert "Deposits and withdrawals" not in page
    # Who decides on something sees it, and not what else there is.
    charlie.user_permissions.set(Permission.objects.filter(codename="approve_cashrequest"))
    client = client_of(User.objects.get(pk=charlie.pk))
    page = client.get("/admin/").content.decode()
    assert "Deposits and withdrawals" in page
    assert "Identity checks" not in page
    assert client.get("/admin/profile/cashrequest/").status_code == 200
    assert client.get("/admin/profile/kycfile/").status_code == 403


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_s37_nobody_adds_changes_or_deletes_what_is_derived(cast, model):
    site = admin.site._registry[model]
    request = RequestFactory().get("/admin/")
    request.user = cast["bob"]
    client = client_of(cast["bob"])
    pages = pages_of(model)

    assert isinstance(site, ReadOnlyAdmin)
    assert site.has_view_permission(request)
    assert not site.has_add_permission(request)
    assert not site.has_change_permission(request)
    assert not site.has_delete_permission(request)
    assert set(site.get_actions(request)) == ACTIONS.get(model._meta.label, set())
    assert client.get(pages["list"]).status_code == 200
    assert client.get(pages["add"]).status_code == 403
    assert client.post(pages["add"], {}).status_code == 403
    # 302: the row does not exist, which Django looks up before it asks for permission.
    assert client.post(pages["delete"], {"post": "yes"}).status_code in {302, 403}


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_s37_every_column_filter_and_search_works(cast, model):
    site = admin.site._registry[model]
    client = client_of(cast["bob"])
    page = pages_of(model)["list"]

    assert client.get(page, {"q": "1"}).status_code == 200
    for number in range(1, len(site.list_display) + 1):
        assert client.get(page, {"o": f"-{number}"}).status_code == 200


def test_whoever_wants_to_add_what_is_derived_is_told_the_way(cast):
    page = reverse("admin:market_modechange_add")
    charlie = cast["charlie"]
    User.objects.filter(pk=charlie.pk).update(is_staff=True)

    answer = client_of(cast["bob"]).get(page)

    assert answer.status_code == 403
    assert reverse("admin:market_modechange_ask") in answer.content.decode()
    assert "Ask for a trading mode" in answer.content.decode()
    other = client_of(cast["bob"]).get(reverse("admin:trade_order_add")).content.decode()
    assert reverse("admin:trade_order_changelist") in other
    # Who may not see the list is told nothing of it.
    assert "trading mode" not in client_of(charlie).get(page).content.decode()


def test_bob_closes_a_door_but_cannot_delete_anybody(cast):
    client = client_of(cast["bob"])
    alice = cast["alice"]
    page = reverse("admin:accounts_user_change", args=[alice.pk])
    assert client.get(page).status_code == 200

    client.post(page, {"name": "Alice", "email": "other@example.com"})

    alice.refresh_from_db()
    assert alice.is_active is False
    assert alice.email == "alice@example.com"
    delete = client.post(reverse("admin:accounts_user_delete", args=[alice.pk]), {"post": "yes"})
    assert delete.status_code == 403


def test_bob_signs_somebody_out_everywhere(cast, program):
    token = program.get(facade.login_link_create("alice@example.com").url).json()["data"][
        "accessToken"
    ]

    client_of(cast["bob"]).post(
        reverse("admin:accounts_user_changelist"),
        {"action": "sign_out_everywhere", "_selected_action": [cast["alice"].pk]},
    )

    assert facade.user_by_token(token) is None


def test_s37_the_key_of_a_session_is_shown_to_nobody_and_the_session_can_be_ended(cast):
    alice, bob = client_of(cast["alice"]), client_of(cast["bob"])
    row = UserSession.objects.create(
        user=cast["alice"], ip="10.0.0.1", session_key=alice.session.session_key
    )
    page = reverse("admin:usersessions_usersession_changelist")

    detail = bob.get(reverse("admin:usersessions_usersession_change", args=[row.pk]))
    assert detail.status_code == 200
    assert row.session_key not in detail.content.decode()
    assert "alice@example.com" in bob.get(page, {"q": "alice"}).content.decode()
    bob.post(page, {"action": "sign_out", "_selected_action": [row.pk]})

    assert not Session.objects.filter(pk=row.session_key).exists()
    assert AuditEntry.objects.latest("n").facts["what"] == "signed out of one browser"


def test_s14_a_lost_second_factor_is_removed_by_somebody_else_with_a_reason(cast):
    guard(cast["alice"])
    bob, alice = client_of(cast["bob"]), client_of(cast["alice"])
    page = reverse("admin:accounts_user_reset_factor", args=[cast["alice"].pk])
    factors = Authenticator.objects.filter(user=cast["alice"])

    bob.post(page, {"reason": "short"})
    assert factors.exists()
    bob.post(page, {"reason": "Came to the office with her passport"})

    assert not factors.exists()
    assert alice.get("/settings/profile").status_code == 302
    assert Delivery.objects.filter(user=cast["alice"], event="factor_changed").exists()
    entry = AuditEntry.objects.get(event="factor_removed")
    assert entry.actor_id == cast["bob"].pk
    assert entry.facts["user"] == str(cast["alice"].pk)
    assert "passport" in entry.facts["reason"]
    # Nobody does it to himself, to somebody without one, or to nobody.
    guard(cast["bob"])
    reason = {"reason": "I have lost my phone"}
    for person in (cast["bob"].pk, cast["alice"].pk):
        own = reverse("admin:accounts_user_reset_factor", args=[person])
        assert "Refused" in bob.post(own, reason, follow=True).content.decode()
    assert Authenticator.objects.filter(user=cast["bob"]).exists()
    nobody = reverse("admin:accounts_user_reset_factor", args=[999_999])
    assert bob.get(nobody).status_code == 404


def test_an_address_of_a_new_person_is_kept_in_lower_case(cast):
    client = client_of(cast["bob"])

    client.post(reverse("admin:accounts_user_add"), {"email": "Carol@Example.COM"})
    again = client.post(reverse("admin:accounts_user_add"), {"email": "CAROL@example.com"})

    assert User.objects.filter(email="carol@example.com").count() == 1
    assert "already exists" in again.content.decode()


def test_a_person_leads_to_what_there_is_of_the_person_as_far_as_it_may_be_seen(cast):
    charlie, page = cast["charlie"], reverse("admin:accounts_user_change", args=[cast["alice"].pk])
    bob = client_of(cast["bob"])

    records = bob.get(page).context["records"]
    assert len(records) == 8
    for _title, way in records:
        assert "q=alice%40example.com" in way
        assert bob.get(way).status_code == 200
    charlie.is_staff = True
    charlie.save()
    seen = Permission.objects.filter(codename__in=["view_user", "decide_kycfile"])
    charlie.user_permissions.set(seen)
    own = client_of(charlie).get(page).context["records"]
    assert [title for title, _way in own] == ["Identity check"]
    assert bob.get(reverse("admin:accounts_user_add")).context["records"] == []


def test_nobody_closes_the_own_door(cast):
    bob = cast["bob"]

    client_of(bob).post(reverse("admin:accounts_user_change", args=[bob.pk]), {"name": "Robert"})

    bob.refresh_from_db()
    assert (bob.name, bob.is_active, bob.is_staff, bob.is_superuser) == ("Robert", True, True, True)


def test_s38_the_audit_log_says_what_a_right_was_and_became_and_is_found_by_the_person(cast):
    bob, alice = client_of(cast["bob"]), cast["alice"]
    bob.post(
        reverse("admin:accounts_user_change", args=[alice.pk]),
        {"name": "Alison", "is_active": "on", "is_staff": "on"},
    )
    view = Permission.objects.get(codename="view_auditentry")
    bob.post(reverse("admin:auth_group_add"), {"name": "Auditors", "permissions": [view.pk]})
    group = Group.objects.get(name="Auditors")
    bob.post(reverse("admin:auth_group_delete", args=[group.pk]), {"post": "yes"})
    audit_note("cash_approved", actor_id=cast["bob"].pk, account="1001", amountMicros="250500000")

    changed, added, deleted, _cash = AuditEntry.objects.order_by("n")
    assert changed.facts["what"] == "Name: changed; Staff: no -> yes"
    assert "Auditors" in added.facts["what"]
    assert str(view) in added.facts["what"]
    assert (deleted.event, deleted.facts["what"]) == ("admin_deletion", "Auditors")
    page = reverse("admin:common_auditentry_changelist")
    # What was done is said once, on the next page.
    bob.get(page)
    found = bob.get(page, {"q": "alice@example.com"}).content.decode()
    assert "Staff: no" in found
    assert "Auditors" not in found
    assert "250.500000 USD" in bob.get(page, {"q": "1001"}).content.decode()
    assert "250.500000 USD" not in bob.get(page, {"q": "nobody@example.com"}).content.decode()


def test_staff_who_may_change_users_cannot_raise_themselves(cast):
    charlie = cast["charlie"]
    charlie.is_staff = True
    charlie.save()
    charlie.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=["accounts", "auth"])
    )
    client = client_of(charlie)

    client.post(
        reverse("admin:accounts_user_change", args=[charlie.pk]),
        {"name": "Charlie", "is_active": "on", "is_staff": "on", "is_superuser": "on"},
    )

    charlie.refresh_from_db()
    assert charlie.is_superuser is False
    bob = reverse("admin:accounts_user_change", args=[cast["bob"].pk])
    assert client.post(bob, {"name": "x"}).status_code == 403
    assert client.post(reverse("admin:auth_group_add"), {"name": "x"}).status_code == 403


def test_money_prices_and_times_are_shown_to_the_last_digit(cast):
    catalogue_install()
    Position.objects.create(
        position_id="1001-1",
        account=1001,
        symbol="BTCUSDT",
        direction="long",
        quantity_units=1,
        open_units=1,
        entry_price_ticks=1,
        leverage=10,
        margin_mode="cross",
        margin_micros=9_007_199_254_740_993,
        commission_micros=1,
        pnl_micros=-1,
        swap_micros=0,
        liquidation_ticks=0,
        opened_at_us=1_767_225_599_999_999,
    )
    instrument = instrument_get("BTCUSDT")
    smallest = f"{Decimal(1).scaleb(-instrument.price_decimals):f}"
    client = client_of(cast["bob"])

    page = client.get(reverse("admin:trade_position_changelist"), {"state": "open"})
    detail = client.get(reverse("admin:trade_position_change", args=["1001-1"]))
    closed = client.get(reverse("admin:trade_position_changelist"), {"state": "closed"})
    specification = client.get(
        reverse("admin:market_instrument_change", args=[Instrument.objects.latest("id").pk])
    )

    for html in (page.content.decode(), detail.content.decode()):
        assert "9007199254.740993" in html
        assert "-0.000001" in html
        assert smallest in html
        assert "2025-12-31 23:59:59.999999" in html
    assert "1001-1" not in closed.content.decode()
    assert specification.status_code == 200
