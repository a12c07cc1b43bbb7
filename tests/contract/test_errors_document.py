"""The catalogue of error codes is complete: nothing in the source answers another one, and the document says the same."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from django.core.management import call_command

from apps.common.error_catalogue import error_catalogue
from apps.common.refusals import refusal_error
from cryptocfd.exception_handler import _CODES
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def _errors_in(trees: Sequence[ast.AST]) -> set[str]:
    """Return ServiceError and the classes made of it; all of them are direct children."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    children = {c.name for c in classes if "ServiceError" in map(ast.unparse, c.bases)}
    return {"ServiceError", "super().__init__", *children}


def _codes_in(tree: ast.AST, errors: set[str]) -> Iterator[str]:
    """Yield codes that are spelled where failures are made: ServiceError(...), its subclasses, failure(code=...)."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        is_error = name in errors
        candidates = node.args[:1] if is_error else []
        if name.endswith("failure"):
            candidates = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        for candidate in candidates:
            value = candidate.value if isinstance(candidate, ast.Constant) else None
            if isinstance(value, str) and CODE.fullmatch(value):
                yield value


def codes_in_source() -> set[str]:
    files = [*(ROOT / "apps").rglob("*.py"), *(ROOT / "cryptocfd").rglob("*.py")]
    trees = [ast.parse(file.read_text()) for file in files]
    errors = _errors_in(trees)
    return {code for tree in trees for code in _codes_in(tree, errors)}


def test_the_document_is_generated_from_the_catalogue() -> None:
    call_command("document_errors", "--check")


def test_no_code_of_the_source_is_missing_and_none_is_made_up() -> None:
    catalogue = {code.code for code in error_catalogue()}
    spelled = codes_in_source()

    assert spelled | set(_CODES.values()) <= catalogue
    edge = {code.code for code in error_catalogue() if not code.is_decided}
    assert edge <= spelled | set(_CODES.values())


def test_every_code_is_listed_once() -> None:
    codes = [code.code for code in error_catalogue()]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("code", list(RejectCode))
def test_every_refusal_of_the_engine_is_listed_with_its_status(code) -> None:
    (listed,) = [entry for entry in error_catalogue() if entry.code == code.value]

    error = refusal_error(Rejected(code=code), request_id="r")
    assert listed.status == error.http_status
