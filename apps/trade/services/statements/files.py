"""Writes statements and receipts as files; numbers are exact decimal text everywhere, in spreadsheets too."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

import xlsxwriter
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from apps.common.exact_json import json_encode
from apps.trade.services.statements.collect import Statement
from apps.trade.services.statements.shape import statement_shape

CONTENT_TYPES: Final = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
_ENTRY_COLUMNS: Final = ("seq", "time", "kind", "orderId", "symbol", "amount", "balance")
_DAY_COLUMNS: Final = (
    *("date", "openingBalance", "closingBalance", "pnl", "commission", "swap", "other", "result"),
    *("equity", "trades"),
)
_SYMBOL_COLUMNS: Final = (
    *("symbol", "trades", "wins", "winRate", "profitFactor", "pnl", "commission", "swap", "result"),
)
# A cell that begins so would be run as a formula.
_FORMULA_SIGNS: Final = ("=", "+", "@", "\t", "\r")


def statement_file(statement: Statement, file_format: str) -> bytes:
    """Return a statement as a file of that format: json, csv, xlsx or pdf."""
    shape: dict[str, Any] = statement_shape(statement)
    if file_format == "json":
        return json_encode(shape)
    if file_format == "csv":
        return _csv(shape)
    if file_format == "xlsx":
        return _xlsx(shape)
    return _statement_pdf(shape, statement.period.text)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


def _heading(shape: dict[str, Any]) -> list[tuple[str, str]]:
    names = ("accountId", "from", "to", "currency", "openingBalance", "closingBalance")
    return [(name, _cell(shape[name])) for name in names]


def _figures(shape: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _cell(value)) for name, value in shape["figures"].items()]


def _csv(shape: dict[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_ENTRY_COLUMNS)
    writer.writerow(
        ["", _cell(shape["from"]), "OpeningBalance", "", "", "", _cell(shape["openingBalance"])]
    )
    for entry in shape["entries"]:
        writer.writerow([_cell(entry[name]) for name in _ENTRY_COLUMNS])
    writer.writerow(
        ["", _cell(shape["to"]), "ClosingBalance", "", "", "", _cell(shape["closingBalance"])]
    )
    # Further tables, each after an empty line: who wants the entries alone stops at the first.
    _csv_table(writer, ("figure", "value"), _figures(shape))
    for columns, rows in ((_SYMBOL_COLUMNS, shape["symbols"]), (_DAY_COLUMNS, shape["days"])):
        _csv_table(writer, columns, [[_cell(row[name]) for name in columns] for row in rows])
    return text.getvalue().encode()


def _csv_table(writer: Any, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    writer.writerow([])
    writer.writerow(columns)
    writer.writerows(rows)


def _xlsx(shape: dict[str, Any]) -> bytes:
    raw = io.BytesIO()
    # Text and not numbers: a spreadsheet's numbers are floats, and these amounts are exact.
    with xlsxwriter.Workbook(raw, {"in_memory": True, "strings_to_formulas": False}) as book:
        bold = book.add_format({"bold": True})
        summary = book.add_worksheet("Summary")
        summary.set_column(0, 1, 26)
        for row, (name, value) in enumerate(_heading(shape) + _figures(shape)):
            summary.write_string(row, 0, name, bold)
            summary.write_string(row, 1, value)
        _sheet(book.add_worksheet("Markets"), _SYMBOL_COLUMNS, shape["symbols"], bold)
        _sheet(book.add_worksheet("Days"), _DAY_COLUMNS, shape["days"], bold)
        _sheet(book.add_worksheet("Entries"), _ENTRY_COLUMNS, shape["entries"], bold)
    return raw.getvalue()


def _sheet(
    sheet: Any, columns: Sequence[str], rows: Sequence[dict[str, Any]], heading: Any
) -> None:
    sheet.set_column(0, len(columns) - 1, 20)
    for column, name in enumerate(columns):
        sheet.write_string(0, column, name, heading)
    for number, row in enumerate(rows, start=1):
        for column, name in enumerate(columns):
            sheet.write_string(number, column, _cell(row[name]))


# --- PDF --------------------------------------------------------------------------------------------------------------

_STYLES: Final = getSampleStyleSheet()
_SMALL: Final = ParagraphStyle("small", parent=_STYLES["BodyText"], fontSize=7, leading=9)


def _statement_pdf(shape: dict[str, Any], period: str) -> bytes:
    parts: list[Flowable] = [
        Paragraph(f"Statement of account {shape['accountId']}", _STYLES["Title"]),
        Paragraph(
            f"{period}, all times UTC, all amounts in {shape['currency']}", _STYLES["BodyText"]
        ),
        Spacer(1, 12),
        _table(["", ""], [[name, value] for name, value in _heading(shape)]),
        Spacer(1, 12),
        Paragraph("Figures", _STYLES["Heading2"]),
        _table(["", ""], [[name, value] for name, value in _figures(shape)]),
        Spacer(1, 12),
        Paragraph("Markets", _STYLES["Heading2"]),
        _table(
            _SYMBOL_COLUMNS,
            [[_cell(row[name]) for name in _SYMBOL_COLUMNS] for row in shape["symbols"]],
        ),
        Spacer(1, 12),
        Paragraph("Days", _STYLES["Heading2"]),
        _table(
            _DAY_COLUMNS, [[_cell(day[name]) for name in _DAY_COLUMNS] for day in shape["days"]]
        ),
        Spacer(1, 12),
        Paragraph("Entries", _STYLES["Heading2"]),
        _table(
            _ENTRY_COLUMNS,
            [[_cell(entry[name]) for name in _ENTRY_COLUMNS] for entry in shape["entries"]],
        ),
        Paragraph("Opening balance and entries sum to the closing balance.", _STYLES["BodyText"]),
    ]
    return _pdf(f"Statement {shape['accountId']}", parts)


def receipt_pdf(detail: dict[str, Any]) -> bytes:
    """Return an order with its receipts as a PDF; `detail` is what receipts.py tells of it."""
    order = detail["order"]
    parts: list[Flowable] = [
        Paragraph(f"Order {order['orderId']}", _STYLES["Title"]),
        _table(["", ""], [[name, _cell(value)] for name, value in order.items()]),
        Spacer(1, 12),
    ]
    for receipt in detail["receipts"]:
        parts += _receipt_parts(receipt)
    return _pdf(f"Order {order['orderId']}", parts)


def _receipt_parts(receipt: dict[str, Any]) -> list[Flowable]:
    journal = receipt["journal"]
    rows = [["time", _cell(receipt["time"])]]
    if receipt["rule"]:
        rows.append(["rule", f"{receipt['rule']}: {receipt['ruleText']}"])
    rows += [[name, _cell(value)] for name, value in receipt["inputs"].items()]
    for name in ("previousQuote", "quote"):
        if (quote := receipt[name]) is not None:
            rows.append([name, _quote_text(quote)])
    rows += [
        ["request", _cell(receipt["requestId"])],
        ["journal", f"{journal['layout']}/{journal['shard']}/{journal['number']}"],
        ["chain hash", journal["chainHash"]],
    ]
    return [
        Paragraph(str(receipt["event"]["type"]), _STYLES["Heading3"]),
        _table(["", ""], rows),
        Spacer(1, 8),
    ]


def _quote_text(quote: dict[str, Any]) -> str:
    source = ", ".join((quote["source"], quote["sourceClass"], quote["sequence"]))
    return f"{quote['symbol']} bid {quote['bid']} ask {quote['ask']} at {_cell(quote['time'])} ({source})"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    is_titled = any(columns)
    cells = [[Paragraph(_escaped(text), _SMALL) for text in row] for row in rows]
    body = [list(columns), *cells] if is_titled else cells or [["none"]]
    table = Table(body, repeatRows=1 if is_titled else 0, hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("FONTSIZE", (0, 0), (-1, -1), 7),
                ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    return table


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _pdf(title: str, parts: list[Flowable]) -> bytes:
    raw = io.BytesIO()
    # Without the time of its making: the same statement is the same file.
    document = SimpleDocTemplate(raw, pagesize=A4, title=title, author="CryptoCFD", invariant=1)
    document.build(parts)
    return raw.getvalue()
