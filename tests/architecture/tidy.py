"""The bans that no import shows, each as a function from a syntax tree to the lines that break it.

Every ban names its replacement, and carries lines that break it and lines that do not; test_tidy.py tries both.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# What a rule finds: the line and what is wrong there.
Finding = tuple[int, str]


@dataclass(frozen=True)
class Ban:
    """One thing that must not be written, where, and what to write instead."""

    name: str
    # Folders under which it holds, relative to the repository.
    folders: tuple[str, ...]
    instead: str
    find: Callable[[ast.Module, str], Iterator[Finding]]
    bad: str
    good: str
    # Files under the folders where it is allowed, by the end of their path.
    except_for: tuple[str, ...] = ()


def _called_name(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func)


def _calls(*names: str) -> Callable[[ast.Module, str], Iterator[Finding]]:
    def find(tree: ast.Module, _text: str) -> Iterator[Finding]:
        for node in ast.walk(tree):
            if _called_name(node) in names:
                yield node.lineno, f"{_called_name(node)}()"

    return find


def _float_literals(tree: ast.Module, _text: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, f"the float {node.value}"


def _true_division(tree: ast.Module, _text: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "a division by /"


def _set_displays(tree: ast.Module, _text: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Set | ast.SetComp):
            yield node.lineno, "a set"
        elif _called_name(node) in {"set", "frozenset"}:
            yield node.lineno, f"{_called_name(node)}()"


def _nodes(*kinds: type[ast.AST]) -> Callable[[ast.Module, str], Iterator[Finding]]:
    def find(tree: ast.Module, _text: str) -> Iterator[Finding]:
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield getattr(node, "lineno", 0), type(node).__name__

    return find


def _long_functions(tree: ast.Module, _text: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > 70:
                yield node.lineno, f"{node.name} has {lines} lines"


def _long_modules(_tree: ast.Module, text: str) -> Iterator[Finding]:
    lines = text.count("\n")
    if lines > 400:
        yield lines, f"{lines} lines"


def _missing_docstring(tree: ast.Module, text: str) -> Iterator[Finding]:
    if text.strip() and not ast.get_docstring(tree):
        yield 1, "no module docstring"


def _model_lookups(tree: ast.Module, _text: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called_name(node).split(".")[-1] == "get_model":
            yield node.lineno, "get_model()"


def _signals(tree: ast.Module, _text: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("dispatch"):
            yield node.lineno, f"an import of {node.module}"
        elif isinstance(node, ast.Call) and _called_name(node).endswith("signals.connect"):
            yield node.lineno, "a signal's connect()"
        elif isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if _called_name(decorator).split(".")[-1] == "receiver":
                    yield decorator.lineno, "a signal's receiver"


def _foreign_keys(tree: ast.Module, _text: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if _called_name(node).split(".")[-1] not in {"ForeignKey", "OneToOneField"}:
            continue
        target = node.args[0] if node.args else None
        is_foreign = (isinstance(target, ast.Constant) and "." in str(target.value)) or ast.unparse(
            target or ast.Constant("")
        ).endswith("AUTH_USER_MODEL")
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        related = keywords.get("related_name")
        if is_foreign and not (isinstance(related, ast.Constant) and related.value == "+"):
            yield node.lineno, f"a key to {ast.unparse(target)}" if target else "a key"


def _left_overs(_tree: ast.Module, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        _, mark, comment = line.partition("#")
        if not mark:
            continue
        if "FIXME" in comment or "XXX" in comment:
            yield number, "a FIXME"
        if "TODO" in comment and "TODO(#" not in comment:
            yield number, "a TODO without an issue"


_CORE = ("engine/core",)
_PYTHON = ("engine", "apps", "cryptocfd")

BANS = (
    Ban(
        "float literal",
        _CORE,
        "integers in ticks, units, micros or ppm",
        _float_literals,
        "rate = 0.5",
        "rate_ppm = 500_000",
    ),
    Ban(
        "true division",
        _CORE,
        "the directed divisions of engine/rounding.py",
        _true_division,
        "half = total / 2",
        "half = total // 2",
    ),
    Ban(
        "built-in that rounds, converts or depends on the process",
        _CORE,
        "engine/rounding.py for numbers; ids and CRC-32 for identity",
        _calls("round", "float", "hash", "id"),
        "key = hash(name)",
        "key = crc32(name)",
    ),
    Ban(
        "set",
        _CORE,
        "a dict, whose order is that of insertion",
        _set_displays,
        "seen = {1, 2}",
        "seen = {1: None, 2: None}",
    ),
    Ban(
        "assert",
        _CORE,
        "check(), which -O does not remove",
        _nodes(ast.Assert),
        "assert total == 0",
        "check(total == 0, 'the group sums to zero')",
    ),
    Ban(
        "async function",
        _CORE,
        "a plain function; waiting is for adapters",
        _nodes(ast.AsyncFunctionDef),
        "async def decide(): ...",
        "def decide(): ...",
    ),
    Ban(
        "global",
        _CORE,
        "a field of the state",
        _nodes(ast.Global),
        "def f():\n    global count",
        "def f(state):\n    state.count = 1",
    ),
    Ban(
        "long function",
        _CORE,
        "functions of at most 70 lines",
        _long_functions,
        "def f():\n" + "    x = 1\n" * 70,
        "def f():\n" + "    x = 1\n" * 69,
    ),
    Ban(
        "long module",
        _CORE,
        "modules of at most 400 lines",
        _long_modules,
        "x = 1\n" * 401,
        "x = 1\n" * 400,
    ),
    Ban(
        "module without docstring",
        _PYTHON,
        "a docstring: what lives here, what must not",
        _missing_docstring,
        "x = 1\n",
        '"""Holds x."""\n\nx = 1\n',
    ),
    Ban(
        "get_model",
        _PYTHON,
        "the facade of the other app",
        _model_lookups,
        "apps.get_model('trade', 'Order')",
        "facade.orders_open(account=1)",
    ),
    Ban(
        "signal",
        _PYTHON,
        "a call of the function",
        _signals,
        "from django.dispatch import receiver",
        "from apps.trade import facade",
    ),
    Ban(
        "foreign key into another app with a way back",
        ("apps",),
        'related_name="+"',
        _foreign_keys,
        "owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)",
        "owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name='+')",
    ),
    Ban(
        "left-over",
        _PYTHON,
        "the work itself, or TODO(#issue)",
        _left_overs,
        "x = 1  # TO" + "DO: later",
        "x = 1  # TO" + "DO(#12): later",
    ),
)
