"""`manage.py serve`, forked by tests that start it many times: ``python -m tests.integration.serve_process --forks``.

The only argument of a fork is the file that takes what it prints.
"""

import importlib
import os
import sys

import django

from tests.integration.forking import forked

# What `serve` would import step by step.
_IMPORTED = ("cryptocfd.management.commands.serve", "cryptocfd.asgi", "cryptocfd.web_server")


def main() -> None:
    # As manage.py sets them.
    os.environ["DJANGO_SETTINGS_MODULE"] = "cryptocfd.settings"
    os.environ["DATABASE_POOL"] = "true"
    django.setup()
    for name in _IMPORTED:
        importlib.import_module(name)
    from django.core.management import execute_from_command_line

    (output,) = forked()
    os.setsid()
    with open(output, "wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    execute_from_command_line([sys.argv[0], "serve"])


if __name__ == "__main__":
    main()
