"""Mistakes in a service file: which file, which line, what was expected, what was found, what to do."""

from __future__ import annotations

import ast
import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from keepfit.core.errors import KeepfitError, SpecInvalid
from keepfit.core.registry import GROUPS, names

Argument = tuple[str | int, ...]
"""Where in a declaration: `("recipe", "window")`, `("monitors", 0, "detector")`."""

_EXTRAS = {"sklearn": "sklearn", "pandas": "sklearn", "skl2onnx": "sklearn", "onnx": "onnx", "onnxruntime": "onnx"}
_UNEXPECTED = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"(\w+)(?:\.__init__)?\(\) missing \d+ required (?:keyword-only |positional )?arguments?: (.+)")
_IMPORT = re.compile(r"cannot import name '(\w+)' from 'keepfit'")
_ATTRIBUTE = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")


@dataclass(frozen=True)
class Mistake:
    """One mistake, ready to be shown."""

    file: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sentence}"


@dataclass(frozen=True)
class Misfit:
    """A mistake before its line is known: at which argument of the Service, and the sentence."""

    argument: Argument
    sentence: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.argument))}: {self.sentence}"


class Mistaken(SpecInvalid):
    """A service file that cannot be applied; the message has one line per mistake."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


class Lines:
    """Finds the line on which an argument of a Service stands, through the file's own variables."""

    def __init__(self, path: Path) -> None:
        tree = ast.parse(path.read_bytes(), str(path))
        self._calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _callee(node) == "Service"]
        self._variables = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def of(self, service: str, argument: Argument) -> int:
        """The line (from 1) of the argument, or of the nearest thing around it that is written in this file."""
        named = [call for call in self._calls if self._is_named(call, service)]
        node: ast.AST | None = next(iter(named or self._calls), None)
        line = getattr(node, "lineno", 1)
        for part in argument:
            node, line = self._step(node, part, line)
            if node is None:
                break
        return line

    def _is_named(self, call: ast.Call, service: str) -> bool:
        given = next((self._resolve(word.value) for word in call.keywords if word.arg == "name"), None)
        return isinstance(given, ast.Constant) and given.value == service

    def _resolve(self, node: ast.AST | None) -> ast.AST | None:
        return self._variables.get(node.id) if isinstance(node, ast.Name) else node

    def _step(self, node: ast.AST | None, part: str | int, line: int) -> tuple[ast.AST | None, int]:
        node = self._resolve(node)
        if isinstance(node, ast.Call) and isinstance(part, str):
            word = next((word for word in node.keywords if word.arg == part), None)
            return (word.value, word.lineno) if word else (None, line)
        if isinstance(node, ast.Tuple | ast.List) and isinstance(part, int) and part < len(node.elts):
            return node.elts[part], node.elts[part].lineno
        return None, line


def _callee(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def explain(error: Exception, path: Path) -> Mistake:
    """The mistake behind an exception which loading the service file at `path` raised."""
    if isinstance(error, SyntaxError):
        text = f": {error.text.strip()}" if error.text else ""
        return Mistake(error.filename or str(path), error.lineno or 1, f"syntax error: {error.msg}{text}")
    file, line = _place(error.__traceback__, path)
    return Mistake(file, line, _sentence(error))


def _place(trace: TracebackType | None, path: Path) -> tuple[str, int]:
    """The innermost frame that lies in the service file or beside it."""
    found = (str(path), 1)
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file == path or (path.parent in file.parents and "site-packages" not in file.parts):
            found = (str(file), trace.tb_lineno)
        trace = trace.tb_next
    return found


def _sentence(error: Exception) -> str:
    match error:
        case KeepfitError():
            return str(error)
        case ModuleNotFoundError(name=str(module)):
            extra = _EXTRAS.get(module.partition(".")[0])
            cure = f"pip install 'keepfit[{extra}]'" if extra else f"install it, or put {module}.py beside this file"
            return f"module '{module}' was not found: {cure}"
        case ImportError(name="keepfit"):
            return _of_import(str(error))
        case TypeError():
            return _of_call(str(error))
        case AttributeError():
            return _of_attribute(str(error))
        case _:
            return f"{type(error).__name__}: {error}"


def _of_import(message: str) -> str:
    found = _IMPORT.search(message)
    return f"keepfit has no '{found[1]}'{_alike(found[1], _public())}" if found else message


def _of_call(message: str) -> str:
    if found := _UNEXPECTED.search(message):
        called, argument = found.groups()
        return f"{called} has no argument '{argument}'{_alike(argument, _arguments(called))}"
    if found := _MISSING.search(message):
        called, missing = found.groups()
        return f"{called} needs the argument {missing}, which is not given"
    return f"TypeError: {message}"


def _of_attribute(message: str) -> str:
    if found := _ATTRIBUTE.search(message):
        module, wanted = found.groups()
        group = f"keepfit.{module.rpartition('.')[2]}"
        known = list(names(group)) if group in GROUPS else _public() if module == "keepfit" else []
        if known:
            return f"there is no {module.rpartition('.')[2]}.{wanted}{_alike(wanted, known)}"
    return f"AttributeError: {message}"


def _public() -> list[str]:
    import keepfit  # the package's own names, asked only when one was not found

    return [*keepfit.__all__, *(group.rpartition(".")[2] for group in GROUPS[:4])]


def _arguments(called: str) -> list[str]:
    import keepfit

    known = getattr(keepfit, called, None) if called in keepfit.__all__ else None
    return list(getattr(known, "__dataclass_fields__", ()))


def _alike(wanted: str, known: list[str]) -> str:
    close = difflib.get_close_matches(wanted, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(known)}" if known else ""
