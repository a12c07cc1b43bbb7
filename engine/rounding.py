"""The only module that divides (rule N2). What the client owes rounds up, what we owe the client rounds down."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Return the quotient rounded up (towards plus infinity).

    Rounding: up; what a client owes is never below the exact quotient.
    Errors: ZeroDivisionError for a zero denominator, which decide() has ruled out.
    """
    return -(-numerator // denominator)


def floor_div(numerator: int, denominator: int) -> int:
    """Return the quotient rounded down (towards minus infinity).

    Rounding: down; what we owe a client is never above the exact quotient.
    Errors: ZeroDivisionError for a zero denominator, which decide() has ruled out.
    """
    return numerator // denominator
