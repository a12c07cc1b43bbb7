"""The sentences of docs/ENGINE.md by rule, so that a receipt can say why and not only which rule."""

import functools
import re
from collections.abc import Mapping
from typing import Final

from django.conf import settings

_RULE: Final = re.compile(r"\*\*([A-Z]{1,2}[0-9]{1,2})\*\*")


@functools.cache
def rule_texts() -> Mapping[str, str]:
    """Return the text of every rule, by its number."""
    document = (settings.BASE_DIR / "docs" / "ENGINE.md").read_text()
    parts = _RULE.split(document)
    texts: dict[str, str] = {}
    for code, text in zip(parts[1::2], parts[2::2], strict=True):
        # A rule ends where the next list item or section begins; the first mention is the definition.
        body = re.split(r"\n(?:- |\n|#)", text)[0]
        texts.setdefault(code, " ".join(body.replace("*", "").replace("`", "").split()))
    return texts


def rule_text(code: str) -> str:
    """Return what a rule says; empty for a number that the document does not have."""
    return rule_texts().get(code, "")
