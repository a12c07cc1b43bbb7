#!/usr/bin/env python3
"""The command line of the project: `manage.py serve` runs the whole platform.

Only the start belongs here. The version check comes first and uses no newer syntax, so that an old Python says one
sentence and not a syntax error.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the sentence is for those who do have an old one.
    sys.exit(
        "CryptoCFD needs Python 3.11 or newer, but this is Python %d.%d: install a newer one and "  # noqa: UP031 - an old Python must be able to read this file.
        "run `make run PYTHON=python3.11`." % sys.version_info[:2]
    )

import os


def main() -> None:
    """Run one management command; a start that cannot succeed ends in one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cryptocfd.settings")
    if sys.argv[1:2] == ["serve"]:
        # Many threads serve here, and opening a connection takes longer than most queries.
        os.environ.setdefault("DATABASE_POOL", "true")
    from cryptocfd.embedded.errors import SetupError

    try:
        # Imported after the version check, and inside the net: reading the settings can already fail.
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except SetupError as error:
        sys.exit(f"CryptoCFD: {error}")
    except Exception as error:
        from cryptocfd.unreachable import sentence_of

        sentence = sentence_of(error)
        if sentence is None or "--traceback" in sys.argv:
            raise
        sys.exit(f"CryptoCFD: {sentence}")


if __name__ == "__main__":
    main()
