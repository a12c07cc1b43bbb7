"""The document is complete and its examples are true: each request and answer has one, and it fits its shape."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator

from apps.common.error_catalogue import error_catalogue
from apps.trade.services.statements.requests import period_of
from cryptocfd.openapi.completion import complete, examples
from cryptocfd.openapi.links import LINKS
from engine.values import CashKind
from tests.contract.links import Json, told

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    # Through JSON, as clients get it.
    return json.loads(
        json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str)
    )


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method in METHODS
    }


def faults(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_every_operation_has_examples_that_fit(document) -> None:
    wrong: list[tuple[str, object]] = []
    for name, operation in operations(document).items():
        answers = operation["responses"].values()
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for body in (*bodies, *answers):
            for kind, media in body.get("content", {}).items():
                if kind != "application/json":
                    continue
                found = media.get("examples", {})
                if not found:
                    wrong.append((name, "no example"))
                for example in found.values():
                    wrong += [
                        (name, f) for f in faults(document, media["schema"], example["value"])
                    ]
        for parameter in operation.get("parameters", ()):
            if "example" not in parameter:
                own = examples()["operations"][name].get("parameters", {})
                if parameter["name"] not in own:
                    wrong.append((name, parameter["name"]))
            else:
                found = faults(document, parameter["schema"], parameter["example"])
                wrong += [(name, parameter["name"], f) for f in found]

    assert wrong == []


def test_an_entry_of_the_ledger_may_have_every_kind_of_cash(document) -> None:
    """Two sets of choices under one name would silently become one of them."""
    schemas = document["components"]["schemas"]

    kinds = {part["$ref"] for part in schemas["LedgerEntry"]["properties"]["cashKind"]["oneOf"]}

    assert {f"#/components/schemas/{name}" for name in ("CashKindEnum", "NullEnum")} == kinds
    assert set(schemas["CashKindEnum"]["enum"]) == {kind.value for kind in CashKind}


@pytest.mark.parametrize("name", ["account_statement", "account_performance"])
def test_the_examples_of_a_period_name_it_in_one_way(document, name) -> None:
    parameters = operations(document)[name]["parameters"]

    period = period_of({p["name"]: p["example"] for p in parameters if "example" in p})

    assert period.text == "2026-11-26"


@pytest.mark.parametrize(
    ("body", "is_good"),
    [
        ({"day": "2026-11-26"}, True),
        ({"month": "2026-11", "fileFormat": "csv"}, True),
        ({"from": "2026-11-01", "to": "2026-11-26"}, True),
        ({}, False),
        ({"from": "2026-11-01"}, False),
        ({"day": "2026-11-26", "month": "2026-11"}, False),
        ({"day": "2026-11-26", "from": "2026-11-01", "to": "2026-11-26"}, False),
        ({"month": "2026-13"}, False),
        ({"month": "1969-12"}, False),
        ({"day": "2026-11-26", "days": 1}, False),
    ],
)
def test_the_document_says_that_a_statement_has_one_period(document, body, is_good) -> None:
    media = operations(document)["account_statement_request"]["requestBody"]["content"]

    assert (faults(document, media["application/json"]["schema"], body) == []) is is_good


def test_the_document_says_where_keys_are_taken_and_with_which_scope(document) -> None:
    scopes = {
        name: requirement["signature"]
        for name, operation in operations(document).items()
        for requirement in operation.get("security", ())
        if "signature" in requirement
    }

    for name, operation in operations(document).items():
        if name.startswith("trade_") and operation["security"] != [{}]:
            assert name in scopes
    assert scopes["trade_create"] == ["trade"]
    assert scopes["trade_preview"] == scopes["trade_open"] == scopes["balance_retrieve"] == ["read"]
    assert not scopes.keys() & {
        "keys_make",
        "keys_list",
        "kyc_submit",
        "withdrawals_request",
        "accounts_open",
        "accounts_top_up",
        "candles_refresh",
    }


def test_every_operation_tells_the_failures_that_it_may_have(document) -> None:
    codes = {entry.code: entry.status for entry in error_catalogue()}
    for name, operation in operations(document).items():
        statuses = {int(status) for status in operation["responses"]}
        assert {429, 503} <= statuses, name
        if operation.get("security") and {} not in operation["security"]:
            assert {401, 403} <= statuses, name
        if "requestBody" in operation:
            assert {400, 413, 415} <= statuses, name
        for status in statuses:
            if status < 400:
                continue
            media = operation["responses"][str(status)]["content"]["application/json"]
            for code in media["examples"]:
                assert codes[code] == status, (name, code)


def shape_of(document: Json, operation: Json, place: str, name: str) -> tuple[Json, bool] | None:
    """Return what an operation takes at a place under a name, and whether it must be there."""
    if place == "body":
        media = operation["requestBody"]["content"]["application/json"]
        shape = document["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
        known = {n: (s, n in shape["required"]) for n, s in shape["properties"].items()}
    else:
        asked = [p for p in operation["parameters"] if p["in"] == place]
        known = {p["name"]: (p["schema"], p.get("required", False)) for p in asked}
    return known.get(name)


def link_faults(document: Json, operation: Json, answer: Json) -> Iterator[tuple[str, object]]:
    """Tell what of an answer's links its targets do not take, by the values of the examples."""
    (example,) = answer["content"]["application/json"]["examples"].values()
    asked = {(p["in"], p["name"]): p["example"] for p in operation.get("parameters", ())}
    for link in answer.get("links", {}).values():
        target = operations(document)[link["operationId"]]
        for place, value in told(link, asked, example["value"]).items():
            found = shape_of(document, target, *place)
            # After the last page null leads nowhere.
            is_end = found is not None and value is None and not found[1]
            if found is None or (not is_end and faults(document, found[0], value)):
                yield link["operationId"], (place, value)


def test_every_link_leads_to_an_operation_that_takes_what_it_tells(document) -> None:
    known = operations(document)
    answers = {
        name: (operation, answer)
        for name, operation in known.items()
        for answer in operation["responses"].values()
        if "links" in answer
    }
    wrong = {name: list(link_faults(document, *found)) for name, found in answers.items()}

    assert {name: found for name, found in wrong.items() if found} == {}
    assert set(answers) == set(LINKS)


def test_an_operation_without_an_example_is_a_warning() -> None:
    GENERATOR_STATS.reset()
    answer = {"application/json": {"schema": {"type": "string"}}}
    operation = {"operationId": "made_up", "responses": {"200": {"content": answer}}}
    with GENERATOR_STATS.silence():
        complete({"paths": {"/x": {"get": operation}}}, None, None, True)
    warned = list(GENERATOR_STATS._warn_cache)
    GENERATOR_STATS.reset()

    assert any("made_up: the answer has no example" in text for text in warned)


def test_no_example_is_of_an_operation_that_is_gone(document) -> None:
    assert set(examples()["operations"]) <= set(operations(document))
