"""Makes and digests the secrets of a sign-in link: its token, its code and the browser's nonce.

Stored is only what these digests return.
"""

import hashlib
import secrets

from django.utils.crypto import constant_time_compare, salted_hmac

# 256 bits: nobody guesses one, so a plain hash is enough to store and to look it up by.
_TOKEN_BYTES = 32
CODE_DIGITS = 6


def token_new() -> str:
    """Return a new token or nonce, fit for an address and a cookie."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def code_new() -> str:
    """Return six random digits."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a token or nonce, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(*, code: str, token_sha256: str) -> str:
    """Return the digest of a code, hexadecimal.

    A million codes are tried in a second, so the digest is keyed: the table alone tells none.
    """
    return salted_hmac(
        "cryptocfd.login-code", f"{token_sha256}:{code}", algorithm="sha256"
    ).hexdigest()


def code_matches(*, code: str, token_sha256: str, digest: str) -> bool:
    """Return whether this is the code, in a time that does not depend on the answer."""
    digits = "".join(code.split())
    return constant_time_compare(code_digest(code=digits, token_sha256=token_sha256), digest)


def sha256_matches(*, text: str, digest: str) -> bool:
    """Return whether `digest` is the SHA-256 of a text that is not empty."""
    return bool(text and digest) and constant_time_compare(sha256_hex(text), digest)
