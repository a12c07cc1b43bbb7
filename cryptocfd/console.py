"""What `serve` says to the person at the terminal: one line per step, a banner, one sentence when it cannot start."""

import time

from rich.console import Console
from rich.markup import escape

# Long links must stay one line: people copy them, scripts read them.
_console = Console(soft_wrap=True, highlight=False)


class Progress:
    """Prints the steps of a start with the time since its beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """Print one finished step."""
        seconds = time.monotonic() - self._began
        _console.print(f"[dim]{seconds:6.2f} s[/]  {escape(text)}")


def banner(facts: dict[str, str]) -> None:
    """Print what one needs to know to use and to stop the platform."""
    width = max(map(len, facts))
    _console.print("\n[bold]CryptoCFD is running[/]")
    for name, value in facts.items():
        _console.print(f"  [dim]{escape(name.ljust(width))}[/]  {escape(value)}")
    _console.print()


def say(text: str) -> None:
    """Print one plain line."""
    _console.print(escape(text))
