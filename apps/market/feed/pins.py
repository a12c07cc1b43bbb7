"""Which class of prices an instrument takes: decided once, by the first source that could serve it.

Live and made-up prices must never meet in one position, so a pin moves by an operator's command only (SetPriceSource).
"""

from collections.abc import Mapping

from apps.market.models import Instrument
from apps.market.selectors import instruments_forget
from engine.values import SourceClass


def source_classes_pin(class_by_symbol: Mapping[str, SourceClass]) -> None:
    """Pin the classes of instruments that have none yet; a pin that another process set first stays."""
    for source_class in SourceClass:
        symbols = [symbol for symbol, pinned in class_by_symbol.items() if pinned is source_class]
        if symbols:
            Instrument.objects.filter(symbol__in=symbols, source_class="").update(
                source_class=source_class.value
            )
    instruments_forget()
