"""What the tools of this package stop at."""


class HistoryError(Exception):
    """A history is not what it claims to be, or cannot be worked with; the message is for an operator."""
