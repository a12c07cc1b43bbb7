"""The default backends of mail and SMS: each message is a file of its own, written whole or not at all.

A message that carries a name (Message-ID, message_id) is written under it, so that sending it again changes nothing.
"""

import os
import re
import secrets
from collections.abc import Sequence
from email.utils import make_msgid
from pathlib import Path
from typing import Any, ClassVar, Final

import sms
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from sms.backends.base import BaseSmsBackend
from typing_extensions import override

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def file_write_whole(folder: Path, name: str, content: bytes) -> None:
    """Write a file that is either there with all of its content or not at all, also after a power cut."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Hidden, and of one process only.
    draft = folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / name)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_name(message_id: str) -> str:
    return _UNSAFE.sub("-", message_id.partition("@")[0]).strip("-.")


class MailFiles(BaseEmailBackend):
    """Writes mails to settings.EMAIL_FILE_PATH."""

    is_repeatable: ClassVar[bool] = True

    @override
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            message_id = message.extra_headers.setdefault("Message-ID", make_msgid())
            name = f"{_file_name(message_id)}.eml"
            file_write_whole(Path(settings.EMAIL_FILE_PATH), name, message.message().as_bytes())
        return len(email_messages)


class SmsFiles(BaseSmsBackend):
    """Writes text messages to settings.SMS_FILE_PATH."""

    is_repeatable: ClassVar[bool] = True

    @override
    def send_messages(self, messages: list[Any]) -> int:
        for message in messages:
            name = getattr(message, "message_id", None) or secrets.token_hex(12)
            self._write(_file_name(name), message)
        return len(messages)

    def _write(self, name: str, message: sms.Message) -> None:
        text = (
            f"From: {message.originator}\nTo: {', '.join(message.recipients)}\n\n{message.body}\n"
        )
        file_write_whole(Path(settings.SMS_FILE_PATH), f"{name}.txt", text.encode())
