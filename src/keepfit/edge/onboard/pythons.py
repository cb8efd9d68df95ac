"""Python: a file or a folder with an object that has `predict`; found by reading, tried in a process of its own."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from keepfit.core import registry
from keepfit.core.errors import Refused
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Runtime
from keepfit.core.signature import DType, Field
from keepfit.edge.declare.declaration import local
from keepfit.edge.onboard.apart import main
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.questions import Missing, require
from keepfit.edge.onboard.recognise import Recognised
from keepfit.serve.manifest import manifest
from keepfit.serve.wire.tables import from_fields


def python(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """The object that `--entry` names, or the only one there is with a method `predict`."""
    folder = found.path if found.path.is_dir() else found.path.parent
    entry = wishes.entry or _only(found.path)
    files = (("code", folder),) if found.path.is_dir() else code_of(folder, f"{found.path.stem}:")
    return Draft(runtime="python", files=files, framework="Python", entry=entry, task=wishes.task, trial=True)


def code_of(folder: Path, entry: str) -> tuple[tuple[str, Path], ...]:
    """The module that an entry names and those beside it that it imports, as files of `code/`."""
    module = entry.partition(":")[0]
    path = folder / f"{module.replace('.', '/')}.py"
    if not path.is_file():
        raise Refused(f"--entry {entry}: there is no {path.name} in {folder}", code="wrong_entry")
    return tuple((f"code/{file.relative_to(folder).as_posix()}", file) for file in sorted(local(path)))


def _only(path: Path) -> str:
    """`module:attribute` of the only object with `predict`; Invalid where there is none, or several."""
    found = []
    for file in [path] if path.is_file() else sorted(path.glob("*.py")):
        found += [f"{file.stem}:{name}" for name in _named(ast.parse(file.read_bytes()))]
    if len(found) != 1:
        told = f"module:attribute of the object with a method predict; found: {', '.join(found) or 'none'}"
        require((Missing("--entry", told),))
    return found[0]


def _named(tree: ast.Module) -> list[str]:
    """Classes with a method `predict`, or the variables that hold one of them."""
    classes = [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(item, ast.FunctionDef) and item.name == "predict" for item in node.body)
    ]
    held = {
        target.id: node.value.func.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)
        for target in node.targets
        if isinstance(target, ast.Name) and node.value.func.id in classes
    }
    return [*held, *(name for name in classes if name not in held.values())]


def look(directory: str, given: str) -> list[dict[str, Any]]:
    """The outputs of the Bundle in `directory`, told from what it answers to the first rows of the file `given`."""
    folder = Path(directory)
    bundle: Bundle = manifest(folder)
    runtime: Runtime = registry.load("keepfit.runtimes", bundle.runtime)()
    predictor: Any = runtime.load(folder, bundle)
    rows = from_fields(bundle.signature.inputs, pq.read_table(given).slice(0, 4))
    try:
        answers = predictor._answer(rows)
    except Exception as error:
        raise Refused(f"the model raised {type(error).__name__} on the sample: {error}") from error
    return [registry.to_plain(_field(str(name), np.asarray(values), rows)) for name, values in answers.items()]


def _field(name: str, values: Any, rows: Any) -> Field:
    total = len(next(iter(rows.values())))
    if values.shape[:1] != (total,):
        raise Refused(f"output '{name}': {total} records were answered with an array of shape {list(values.shape)}")
    kinds = {"f": "FP", "i": "INT", "u": "UINT"}
    if values.dtype.kind in "OUS":
        return Field(name, DType.BYTES, values.shape[1:])
    if values.dtype.kind == "b":
        return Field(name, DType.BOOL, values.shape[1:])
    return Field(name, DType(f"{kinds[values.dtype.kind]}{values.dtype.itemsize * 8}"), values.shape[1:])


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
