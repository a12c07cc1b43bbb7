"""Every stable code that an interface may answer, with its status and meaning: docs/ERRORS.md and /api/errors are made of it.

The engine's own codes come from its enum and from refusals.py; the rest stands here. A test holds that no other code exists.
"""

from dataclasses import dataclass
from typing import Final

from apps.common.refusals import http_status, sentences
from engine.messages.rejects import RejectCode, is_retryable


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code of the contract."""

    code: str
    # HTTP status; the same number stands in the frames of the socket.
    status: int
    # What it means; for the engine's refusals the sentences that it is told in, with the names of their numbers.
    meanings: tuple[str, ...]
    # Whether the same wish may succeed later without being changed.
    is_retryable: bool
    # Whether the engine has decided it, so that it stands in the journal and has burnt its request id.
    is_decided: bool = False


def _edge(code: str, status: int, meaning: str, *, is_retryable: bool = False) -> ErrorCode:
    return ErrorCode(code, status, (meaning,), is_retryable)


_EDGE: Final = (
    _edge("INVALID", 400, "A field is missing, unknown, or has a value that it cannot have."),
    _edge("OP_UNKNOWN", 400, "The socket has no operation of that name."),
    _edge("CHANNEL_UNKNOWN", 400, "The socket has no channel of that name."),
    _edge(
        "NOT_AUTHENTICATED",
        401,
        "Nobody is signed in: the access token or session is missing, wrong, or has ended.",
    ),
    _edge("AUTHENTICATION_FAILED", 401, "What was sent to prove who is there proves nothing."),
    _edge("PERMISSION_DENIED", 403, "Who is signed in may not do this."),
    _edge(
        "REFRESH_TOKEN_INVALID",
        401,
        "The refresh token is wrong, or its device is signed out.",
    ),
    _edge(
        "REFRESH_TOKEN_REUSED",
        401,
        "The refresh token had been used before, so its device was signed out and its owner told.",
    ),
    _edge(
        "DEVICE_REQUIRED", 403, "The request does not come from a device, which has its own tokens."
    ),
    _edge(
        "SIGNATURE_INVALID",
        401,
        "The key is unknown or has ended, or it has not signed this very request.",
    ),
    _edge("KEY_EXPIRED", 401, "The API key has ended."),
    _edge(
        "TIMESTAMP_INVALID",
        401,
        "The signed timestamp is too old or ahead; data.serverTime has our clock.",
    ),
    _edge("NONCE_USED", 401, "The nonce was used before: each request has a new one."),
    _edge("KEY_FORBIDDEN", 403, "API keys are not taken here."),
    _edge("KEY_SCOPE_MISSING", 403, "The API key lacks the scope that this needs."),
    _edge("KEY_ACCOUNT_FORBIDDEN", 403, "The API key is bound to another account."),
    _edge("KEY_NETWORK_FORBIDDEN", 403, "The API key may not be used from this network address."),
    _edge("GUEST_FORBIDDEN", 403, "Guests may not do this: tell an e-mail address first."),
    _edge("STEP_UP_REQUIRED", 403, "This needs a sign-in of the last five minutes."),
    _edge(
        "SECOND_FACTOR_REQUIRED", 403, "This person has a second factor, and its code was not sent."
    ),
    _edge("SECOND_FACTOR_INVALID", 403, "The code of the second factor is wrong, old or used."),
    _edge(
        "SECOND_FACTOR_NEEDED",
        403,
        "A browser needs a second factor for this, and this person has set none up.",
    ),
    _edge("DOCUMENT_INVALID", 400, "The file is no JPEG, PNG or PDF."),
    _edge("DOCUMENT_TOO_LARGE", 413, "The file has more bytes than a document may have."),
    _edge("DOCUMENTS_TOO_MANY", 409, "This person has handed in as many documents as one may."),
    _edge("PHONE_INVALID", 400, "This is no phone number with its country code."),
    _edge("PHONE_CODE_INVALID", 400, "This is not the code of the newest text message."),
    _edge("PHONE_CODE_ENDED", 400, "The code is too old, or too many were tried."),
    _edge("EMAIL_CHANGE_INVALID", 400, "The link that proves a new address does not count here."),
    _edge("EMAIL_TAKEN", 409, "Another account has this address."),
    _edge(
        "ACCOUNT_IN_USE", 409, "The account cannot be deleted while it holds positions or money."
    ),
    _edge("LINK_INVALID", 400, "No sign-in link has this token."),
    _edge("CODE_INVALID", 400, "This is not the code of the newest mail."),
    _edge(
        "LINK_NEEDS_CODE", 403, "Another browser asked for the link: the mail's code must come too."
    ),
    _edge("CODE_TRIES_EXCEEDED", 403, "Too many wrong codes were tried: ask for a new link."),
    _edge("LINK_LOCAL_ONLY", 403, "The link works only on the machine that printed it."),
    _edge("USER_INACTIVE", 403, "The user is closed."),
    _edge("LINK_USED", 410, "The sign-in link has been used."),
    _edge("LINK_SUPERSEDED", 410, "A newer sign-in link was asked for."),
    _edge("LINK_EXPIRED", 410, "The sign-in link has ended."),
    _edge("PIN_NOT_SET", 403, "The device has no PIN yet."),
    _edge("PIN_REQUIRED", 403, "The device's PIN must be shown for this."),
    _edge(
        "PIN_WRONG",
        403,
        "This is not the device's PIN; data.triesLeft says how many tries are left.",
    ),
    _edge("DESTINATION_INVALID", 400, "A withdrawal cannot go to what was named."),
    _edge("METHOD_UNKNOWN", 400, "This installation offers no such way to pay."),
    _edge("VIEW_ONLY", 403, "Staff who look at somebody's account can change nothing in it."),
    _edge(
        "VIEW_FORBIDDEN",
        403,
        "This person may not be looked at, or not by this member of the staff.",
    ),
    _edge("FOUR_EYES", 403, "A second, other person has to decide, and nobody on an own request."),
    _edge("KYC_LIMIT", 403, "More than the state of the KYC file lets move within 24 hours."),
    _edge("JOB_UNKNOWN", 404, "There is no such job, or not any more."),
    _edge("CASH_REQUEST_UNKNOWN", 404, "The account has no such deposit or withdrawal."),
    _edge("ACCOUNT_NOT_LIVE", 409, "The account holds play money."),
    _edge("MODE_CHANGE_STATE", 409, "The change of a trading mode no longer waits."),
    _edge("CASH_REQUEST_STATE", 409, "The request no longer waits for approval."),
    _edge("KYC_NOT_OPEN", 409, "The KYC file is in a state in which this cannot be done."),
    _edge("KEY_UNKNOWN", 404, "There is no such API key, or it is somebody else's."),
    _edge("KEYS_TOO_MANY", 409, "The user has as many API keys as there may be."),
    _edge("DEVICE_UNKNOWN", 404, "There is no such device, or it is somebody else's."),
    _edge("PIN_CHANGED", 409, "The PIN was changed at the same moment.", is_retryable=True),
    _edge(
        "PIN_LOCKED",
        423,
        "Too many wrong PINs: nothing is evaluated until Retry-After, or the device is signed out.",
        is_retryable=True,
    ),
    _edge("NOT_FOUND", 404, "There is nothing at this address."),
    _edge(
        "REQUEST_UNKNOWN",
        404,
        "The engine has decided no request of that id; once its time-out has passed it never will.",
    ),
    _edge("ACCOUNTS_TOO_MANY", 409, "The user has as many accounts of this kind as there may be."),
    _edge(
        "ACCOUNT_NOT_DEMO", 409, "The account holds real money, so it is not topped up or reset."
    ),
    _edge("ACCOUNT_NOT_FLAT", 409, "The account still has open positions or orders."),
    _edge("ACCOUNT_NOT_OPEN", 409, "The account is not open yet."),
    _edge("METHOD_NOT_ALLOWED", 405, "The address does not take this method."),
    _edge(
        "NOT_ACCEPTABLE", 406, "The answer exists in none of the media types that were asked for."
    ),
    _edge(
        "OUTCOME_UNKNOWN",
        408,
        "The engine has not answered in time. Send the same request with the same id again, or ask for it by its id.",
        is_retryable=True,
    ),
    _edge(
        "STATEMENT_FAILED",
        409,
        "The statement could not be made: ask for it again.",
        is_retryable=True,
    ),
    _edge(
        "STATEMENT_TOO_LONG",
        409,
        "The statement is too long to be written at once: data has how many lines it has and may have; have it made by POST to statements.",
    ),
    _edge(
        "RECEIPT_TOO_LONG",
        409,
        "The order has more steps than a receipt as PDF may have: read them as JSON.",
    ),
    _edge("NOT_READY", 409, "What was asked for is still being made.", is_retryable=True),
    _edge("TOO_LARGE", 413, "The body is larger than anything that is taken here."),
    _edge("UNSUPPORTED_MEDIA_TYPE", 415, "The body must be application/json."),
    _edge(
        "RATE_LIMITED",
        429,
        "Too many requests: wait as long as Retry-After says.",
        is_retryable=True,
    ),
    _edge(
        "INTERNAL",
        500,
        "Something failed on our side; nothing is known about the outcome of this request.",
        is_retryable=True,
    ),
    _edge(
        "ENGINE_BUSY",
        503,
        "Nothing was sent: the engine cannot be reached, is behind, or has halted.",
        is_retryable=True,
    ),
    _edge(
        "QUERY_REFUSED",
        503,
        "The engine cannot answer this question: it runs another release, or has failed at it.",
    ),
    _edge(
        "CANDLES_UNAVAILABLE", 503, "The candles cannot be read at the moment.", is_retryable=True
    ),
    _edge("FEED_UNAVAILABLE", 503, "No price feed speaks at the moment.", is_retryable=True),
    _edge("UNAVAILABLE", 503, "A part of the platform cannot be reached.", is_retryable=True),
)


def error_catalogue() -> tuple[ErrorCode, ...]:
    """Return every code: those of the edge by status, then the engine's in their order of precedence."""
    decided = tuple(
        ErrorCode(
            code=code.value,
            status=http_status(code),
            meanings=sentences(code),
            is_retryable=is_retryable(code),
            is_decided=True,
        )
        for code in RejectCode
    )
    return (*_EDGE, *decided)
