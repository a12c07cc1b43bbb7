"""Keys of the queue of expiries: which order ends when, as one integer (rule O4)."""

_EXPIRY_K_BITS = 28
_EXPIRY_ACCOUNT_BITS = 40


def expiry_key(expires_at_us: int, account: int, k: int) -> int:
    """Return the key of an expiry: ordered by time, then account, then order."""
    return (expires_at_us << _EXPIRY_ACCOUNT_BITS | account) << _EXPIRY_K_BITS | k


def expiry_parts(key: int) -> tuple[int, int, int]:
    """Return (time in microseconds, account, k) of an expiry key."""
    account = key >> _EXPIRY_K_BITS & ((1 << _EXPIRY_ACCOUNT_BITS) - 1)
    return (
        key >> (_EXPIRY_K_BITS + _EXPIRY_ACCOUNT_BITS),
        account,
        key & ((1 << _EXPIRY_K_BITS) - 1),
    )
