"""The catalogues of what people read: taken out of the sources, kept as .po beside them, compiled to what Django loads.

Done with Babel instead of gettext's programs, which a checkout or a CI machine may lack. Only developers need it; what is compiled
is part of the sources.
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

_ROOT: Final[Path] = settings.BASE_DIR
_KEYWORDS: Final = {
    **DEFAULT_KEYWORDS,
    **dict.fromkeys(("gettext_lazy", "gettext_noop", "_lazy", "_"), None),
}
# Dates of a run would make every run another file.
_NO_DATE: Final = datetime(2026, 1, 1, tzinfo=UTC)
_PLACEHOLDER: Final = re.compile(r"%\(\w+\)[sd]|\{\w*\}")


def languages() -> list[str]:
    """Return the languages that have a catalogue: all but the one that the sources are written in."""
    return [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


def po_path(language: str) -> Path:
    """Return where the catalogue of a language is edited."""
    return _ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def _texts() -> Iterator[str]:
    """Return the sources as Python: templates by Django's own translation of them."""
    for path in sorted((_ROOT / "templates").rglob("*")):
        if path.suffix in {".html", ".txt"}:
            # On one line: the indentation of a template is none of Python's. Lines of comments hold no messages.
            lines = templatize(path.read_text(), origin=str(path)).splitlines()
            yield " ".join(line for line in lines if not line.lstrip().startswith("#"))
    for folder in ("apps", "cryptocfd"):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            yield path.read_text()


def extracted() -> Catalog:
    """Return every message that the sources mark, without translations."""
    catalog = Catalog(project="CryptoCFD", version="1", creation_date=_NO_DATE)
    for text in _texts():
        for _line, function, found, _comments in extract_python(
            io.BytesIO(text.encode()), _KEYWORDS, [], {}
        ):
            # Babel declares a list; it gives one text, or a tuple for plural forms and contexts, which are not used here.
            message = cast(object, found)
            if function in _KEYWORDS and isinstance(message, str) and message:
                catalog.add(message)
    return catalog


def updated(language: str) -> Catalog:
    """Return the catalogue of a language with what the sources mark now, and with the translations that are known."""
    path = po_path(language)
    fresh = extracted()
    known = (
        read_po(io.BytesIO(path.read_bytes()), locale=language)
        if path.exists()
        else Catalog(language)
    )
    catalog = Catalog(
        language,
        project="CryptoCFD",
        version="1",
        creation_date=_NO_DATE,
        revision_date=_NO_DATE,
        last_translator="CryptoCFD",
        language_team=language,
        fuzzy=False,
    )
    for message in fresh:
        if message.id:
            old = known.get(message.id)
            catalog.add(message.id, old.string if old is not None else "", flags=message.flags)
    return catalog


def po_text(catalog: Catalog) -> bytes:
    """Return a catalogue as it is edited."""
    file = io.BytesIO()
    write_po(file, catalog, width=120, sort_output=True, no_location=True)
    return file.getvalue()


def mo_content(catalog: Catalog) -> bytes:
    """Return a catalogue as Django loads it."""
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def faults(language: str) -> list[str]:
    """Return what is wrong with a language: messages without words, lost placeholders, files that are not up to date."""
    path = po_path(language)
    if not path.exists():
        return [f"{language}: no catalogue"]
    catalog = updated(language)
    found = [fault for message in catalog if message.id and (fault := _fault(language, message))]
    if path.read_bytes() != po_text(catalog):
        found.append(f"{path.name} of {language} is not what the sources say: run `make messages`")
    compiled = path.with_suffix(".mo")
    if not compiled.exists() or compiled.read_bytes() != mo_content(catalog):
        found.append(f"{compiled.name} of {language} is not compiled: run `make messages`")
    return found


def _fault(language: str, message: Message) -> str:
    if not message.string:
        return f"{language}: no words for {message.id!r}"
    if sorted(_PLACEHOLDER.findall(str(message.id))) != sorted(
        _PLACEHOLDER.findall(str(message.string))
    ):
        return f"{language}: other placeholders than {message.id!r}"
    return ""
