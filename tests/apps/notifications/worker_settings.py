"""The product's settings for a worker that works on a test's database and writes to a test's folders."""

import ast
import os
from pathlib import Path

from cryptocfd.settings import *  # noqa: F403 - settings are made to be taken over whole.

DATABASES = {"default": {**ast.literal_eval(os.environ["TEST_DATABASE"]), "CONN_MAX_AGE": 0}}
EMAIL_FILE_PATH = Path(os.environ["TEST_MESSAGES"]) / "mail"
SMS_FILE_PATH = Path(os.environ["TEST_MESSAGES"]) / "sms"
API_KEY_KEYS = os.environ["TEST_KEYS"]
