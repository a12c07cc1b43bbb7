"""Pictures and scans that prove who a person is: taken from their owner, sealed into the database, opened for staff only.

No file of anybody lies in a folder: rows are backed up and deleted with the rest, and no web server can hand them out.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext as _

from apps.common.errors import ServiceError
from apps.common.rate_limits import rate_limit_require, rate_limits_parse
from apps.common.sealing import cipher
from apps.profile.choices import KycState
from apps.profile.models import KycDocument
from apps.profile.services.kyc import kyc_state

# Below what the server takes as a body at all, with room for what a form adds.
DOCUMENT_BYTES_MAX: Final = 4 * 1024 * 1024
DOCUMENTS_MAX: Final = 8
_UPLOADS: Final = ("10/h", "30/d")
# How a file of each kind begins; what its name or its sender says proves nothing.
_BEGINNINGS: Final = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"%PDF-": "application/pdf",
}


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A document for the eyes of staff."""

    name: str
    content_type: str
    content: bytes


def document_check(content: bytes) -> str:
    """Return the content type of a document.

    Errors: ServiceError DOCUMENT_INVALID, DOCUMENT_TOO_LARGE.
    """
    if len(content) > DOCUMENT_BYTES_MAX:
        raise ServiceError(
            "DOCUMENT_TOO_LARGE",
            _("file: expected at most %(most)s bytes, found %(found)s")
            % {"most": DOCUMENT_BYTES_MAX, "found": len(content)},
            http_status=413,
            data={"field": "file", "bytesMax": DOCUMENT_BYTES_MAX},
        )
    for beginning, content_type in _BEGINNINGS.items():
        if content.startswith(beginning):
            return content_type
    raise ServiceError(
        "DOCUMENT_INVALID",
        _("file: expected a picture (JPEG, PNG) or a PDF, found something else"),
        data={"field": "file"},
    )


@transaction.atomic
def document_add(*, user_id: int, name: str, content: bytes) -> KycDocument:
    """Take a document from its owner; the same content is kept once.

    Errors: those of document_check; ServiceError KYC_NOT_OPEN, DOCUMENTS_TOO_MANY, RATE_LIMITED.
    """
    content_type = document_check(content)
    # Lines up what one user sends at once, so that the count holds.
    get_user_model().objects.select_for_update().get(pk=user_id)
    if kyc_state(user_id=user_id) == KycState.APPROVED:
        raise ServiceError(
            "KYC_NOT_OPEN",
            "expected a file that is open, found one that is approved",
            http_status=409,
            data={"state": KycState.APPROVED.value},
        )
    digest = hashlib.sha256(content).hexdigest()
    own = KycDocument.objects.filter(user_id=user_id)
    known = own.filter(sha256=digest).first()
    if known is not None:
        return known
    if own.count() >= DOCUMENTS_MAX:
        raise ServiceError(
            "DOCUMENTS_TOO_MANY",
            f"expected at most {DOCUMENTS_MAX} documents",
            http_status=409,
            data={"documentsMax": DOCUMENTS_MAX},
        )
    rate_limit_require(
        key=f"kyc-document:{user_id}",
        limits=rate_limits_parse(list(_UPLOADS)),
        what="documents were sent",
    )
    return KycDocument.objects.create(
        user_id=user_id,
        name=_name_shown(name),
        content_type=content_type,
        size=len(content),
        sha256=digest,
        content_sealed=cipher().encrypt(content),
    )


def document_open(*, document_id: int) -> OpenedDocument:
    """Return a document with its content, for staff that may decide on it.

    Errors: KycDocument.DoesNotExist.
    """
    row = KycDocument.objects.get(pk=document_id)
    return OpenedDocument(row.name, row.content_type, cipher().decrypt(bytes(row.content_sealed)))


def documents_of(*, user_id: int) -> list[KycDocument]:
    """Return a person's documents without their content, newest first."""
    return list(KycDocument.objects.filter(user_id=user_id).defer("content_sealed").order_by("-id"))


def _name_shown(name: str) -> str:
    printable = "".join(sign for sign in name if sign.isprintable() and sign not in '"\\/')
    return printable[-80:] or "document"
