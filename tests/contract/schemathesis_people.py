"""Lends schemathesis people who have done nothing yet: whom a KYC file is not known of, and whose sign-in link is unused."""

import os
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
from schemathesis import GenerationMode
from schemathesis.transport.serialization import Binary

# Where the staff hands out links of new people; exists in the installation of the test only.
LINKS: Final = "SCHEMATHESIS_LINKS"
VERIFY: Final = "GET /api/v1/auth/verify"
KYC: Final = "POST /api/v1/kyc"
DOCUMENTS: Final = "POST /api/v1/kyc/documents"
# Can be done once by each person.
OF_NEW_PEOPLE: Final = frozenset({KYC, DOCUMENTS})
# A picture of one dot, whole from its signature to its end.
_PICTURE: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415478da63f8ffff3f0005fe02fe331295140000000049454e44ae426082"
)
# How old somebody is that signs up depends on the day, which no document can say.
_GROWN_UP: Final = "1990-05-17"


def new_link() -> str:
    """Return a sign-in link of somebody new."""
    return httpx.get(os.environ[LINKS], timeout=30).raise_for_status().text


def new_token() -> str:
    """Return the access token of somebody new."""
    answer = httpx.get(new_link(), headers={"Accept": "application/json"}, timeout=30)
    token: str = answer.raise_for_status().json()["data"]["accessToken"]
    return token


def fit(name: str, case: Any) -> None:
    """Give a case of good data what the document cannot say."""
    if name == VERIFY:
        (token,) = parse_qs(urlsplit(new_link()).query)["token"]
        case.query = (case.query or {}) | {"token": token}
    elif name == DOCUMENTS:
        case.body = {"file": Binary(_PICTURE)}
        # The validator by which a changed case is judged anew takes no bytes for the document's `string`.
        case.meta.generation.mode = GenerationMode.POSITIVE
    elif name == KYC:
        case.body = case.body | {"birthDate": _GROWN_UP}
