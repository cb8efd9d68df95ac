"""Declarations: a service file, loaded in a process of its own, checked, and stored as plain data.

`python -m keepfit.edge.declare.declaration FILE STORE ANSWER` is that process: what it found goes to ANSWER as JSON.
"""

from __future__ import annotations

import ast
import importlib
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path

import msgspec

from keepfit.core.errors import KeepfitError, SpecInvalid
from keepfit.core.nouns import Digest, Subject, Task
from keepfit.core.places import Places
from keepfit.core.registry import canonical, digest_of, from_plain, to_plain
from keepfit.core.requirements import Requirements
from keepfit.core.service import Service, Specification, services_of
from keepfit.data.check import requirements
from keepfit.data.schema import SERVING
from keepfit.edge.declare.declared import Answer, Declared
from keepfit.edge.declare.fits import ill_typed, misfits
from keepfit.edge.declare.mistakes import Argument, Lines, Misfit, Mistake, Mistaken, explain
from keepfit.edge.declare.schemas import schema_of
from keepfit.edge.declare.source import Source, fetch, misplaced, source_of
from keepfit.edge.declare.trial import trial
from keepfit.judge import metrics
from keepfit.store.blobs import Blobs, Trees


def load(path: Path) -> tuple[Service, ...]:
    """Import a service file as the module of its own name, and return the Services it declares.

    Whoever unpickles an estimator made from it finds its classes under that name. Nothing is written beside the file,
    so that a snapshot stays what its digest says. Mistaken where it cannot be imported.
    """
    sys.dont_write_bytecode = True
    path = path.resolve()
    loaded = sys.modules.get(path.stem)
    taken = path.stem in sys.stdlib_module_names or path.stem == "keepfit"
    if taken or (loaded is not None and Path(getattr(loaded, "__file__", None) or "") != path):
        raise _at(path, f"a module named '{path.stem}' exists already; give the file another name")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(path.stem)
    except Exception as error:
        mistake = explain(error, path)
        typed = "" if isinstance(error, KeepfitError) else ill_typed(error.__traceback__)
        raise Mistaken((replace(mistake, sentence=typed or mistake.sentence),)) from error
    return tuple(services_of(module))


def declare(path: Path, places: Places) -> tuple[Declared, ...]:
    """Load, check and store every Service of a file; Mistaken with everything that is wrong."""
    path = path.resolve()
    if not path.is_file():
        raise SpecInvalid(f"{path}: there is no such file; `keepfit init` makes one that runs")
    services = load(path)
    if not services:
        raise _at(path, "expected a keepfit.Service in a variable of this file, found none")
    names = [service.name for service in services]
    if len(set(names)) < len(names):
        raise _at(path, f"the names of services must differ, found {names}")
    lines = Lines(path)
    checked = [(service, _check(service, path)) for service in services]
    wrong = [
        Mistake(str(path), lines.of(service.name, misfit.argument), f"{service.name}: {misfit}")
        for service, found in checked
        if not isinstance(found, Source)
        for misfit in found
    ]
    if wrong:
        raise Mistaken(tuple(wrong))
    code, environment = snapshot(path, Trees(places.trees)), installed()
    return tuple(
        _store(service, found, code=code, module=path.name, environment=environment, places=places)
        for service, found in checked
        if isinstance(found, Source)
    )


def _at(path: Path, sentence: str) -> Mistaken:
    return Mistaken((Mistake(str(path), 1, sentence),))


def _check(service: Service, path: Path) -> Source | list[Misfit]:
    """The first data of a sound Service, or all that is wrong with it; cheap checks first."""
    wrong = [*misfits(service, Service), *_estimator(service), *_offline(service)]
    if wrong:
        return wrong
    try:
        table = fetch(service, path.parent)
    except KeepfitError as error:
        return [Misfit(("data",), str(error))]
    except Exception as error:  # noqa: BLE001  # the user's function may raise anything; it is told with its line
        mistake = explain(error, path)
        return [Misfit(("data",), f"the function raised in line {mistake.line}: {mistake.sentence}")]
    if isinstance(table, Misfit):
        return [table]
    found = list(misplaced(service, table)) or source_of(service, table)
    if not isinstance(found, Source):
        return found
    schema = schema_of(service, path.parent, found, table.column_names)
    if isinstance(schema, list):
        return schema
    found = replace(found, schema=schema)
    specified = _specified(service, found)
    wrong = [*_metrics(service, found.task), *_answers(service, found.task), *_masks(specified)]
    if wrong:
        return wrong
    return list(trial(specified, service.estimator, found.table)) or _noted(found, service.serving.mask)


def _estimator(service: Service) -> Iterator[Misfit]:
    estimator = service.estimator
    if estimator is None:
        yield Misfit(("estimator",), "expected an object with fit and predict, found none")
        return
    if isinstance(estimator, type):
        yield Misfit(("estimator",), f"expected an object, found the class; write {estimator.__name__}()")
        return
    lacking = [name for name in ("fit", "predict") if not callable(getattr(estimator, name, None))]
    if lacking:
        found = f"expected an object with fit and predict, found {type(estimator).__name__} without {lacking}"
        yield Misfit(("estimator",), found)
        return
    try:
        pickle.dumps(estimator, protocol=5)
    except Exception as error:  # noqa: BLE001  # __reduce__ is user code; whatever it raises means the same
        yield Misfit(("estimator",), f"cannot be pickled ({error}); use functions with a name, no lambdas")


def _offline(service: Service) -> Iterator[Misfit]:
    if any(monitor.on is Subject.RECORDS for monitor in service.monitors) and not callable(service.offline):
        yield Misfit(("offline",), "expected a function of a table of records, for the monitor on records; found none")


def _metrics(service: Service, task: Task) -> Iterator[Misfit]:
    asked: list[tuple[Argument, str]] = [(("metric",), service.metric)]
    asked += [(("gates", place, "metric"), getattr(gate, "metric", "")) for place, gate in enumerate(service.gates)]
    for argument, name in asked:
        try:
            _ = name and metrics.fits(name, task)
        except KeepfitError as error:
            yield Misfit(argument, str(error))


def _masks(specification: Specification) -> Iterator[Misfit]:
    known = [field.name for field in (*specification.inputs, *specification.outputs)]
    for place, name in enumerate(specification.service.serving.mask):
        if name not in known:
            found = f"'{name}' is no input or output of the service; there are: {', '.join(known)}"
            yield Misfit(("serving", "mask", place), found)


def _noted(source: Source, mask: tuple[str, ...]) -> Source:
    """What a mask takes from learning is told: a value that is never written cannot be learnt from."""
    hidden = [field.name for field in source.inputs if field.name in mask]
    if not hidden:
        return source
    note = f"{', '.join(hidden)}: masked, so absent from the records that updates learn from and monitors look at"
    return replace(source, notes=(*source.notes, note))


def _answers(service: Service, task: Task) -> Iterator[Misfit]:
    if task is not Task.REGRESSION and not hasattr(service.estimator, "predict_proba"):
        found = f"{type(service.estimator).__name__} gives no probabilities; wrap it in CalibratedClassifierCV"
        yield Misfit(("estimator",), found)


def _specified(service: Service, source: Source) -> Specification:
    """The Specification but for the digests of what is stored."""
    metric = service.metric or metrics.default(source.task)
    return Specification(
        service=replace(service, estimator=None, data=None, offline=None, metric=metric),
        code="",
        module="",
        source="",
        source_rows=source.table.num_rows,
        task=source.task,
        classes=source.classes,
        inputs=source.inputs,
        outputs=source.outputs,
        label=source.label,
        requirements=requirements(source.schema, environment=SERVING) if source.schema else Requirements(),
    )


def _store(
    service: Service, source: Source, *, code: Digest, module: str, environment: Digest, places: Places
) -> Declared:
    blobs = Blobs(places.blobs)
    found = blobs.put(source.encoded())
    schema = blobs.put(canonical(source.schema)) if source.schema else ""
    specification = replace(
        _specified(service, source), code=code, module=module, source=found, environment=environment, schema=schema
    )
    written = canonical(specification)
    from_plain(Specification, msgspec.json.decode(written))  # what control will read must be readable
    return Declared(service.name, blobs.put(written), source.notes)


def snapshot(path: Path, trees: Trees) -> Digest:
    """Keep the service file and the modules beside it that it imports, directly or not."""
    with tempfile.TemporaryDirectory() as made:
        for file in sorted(local(path)):
            goal = Path(made) / file.relative_to(path.parent)
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, goal)
        return trees.put(Path(made))


def local(path: Path) -> set[Path]:
    """The files of the modules beside `path` which it imports, found by reading, not by running."""
    found: set[Path] = set()
    wanted = [path]
    while wanted:
        file = wanted.pop()
        if file in found:
            continue
        found.add(file)
        for name in _imported(file):
            module = path.parent / f"{name}.py"
            package = path.parent / name
            if module.is_file():
                wanted.append(module)
            elif (package / "__init__.py").is_file():
                wanted += package.rglob("*.py")
    return found


def _imported(file: Path) -> Iterator[str]:
    """The top-level names a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def installed() -> Digest:
    """The digest of the installed distributions and their versions, and of Python's."""
    found = {(dist.name.lower().replace("_", "-"), dist.version) for dist in distributions() if dist.name}
    return digest_of(list(sys.version_info[:3]), sorted(map(list, found)))


def main(argv: list[str]) -> int:
    """The loading process."""
    path, store, answer = map(Path, argv)
    try:
        said = Answer(services=declare(path, Places(store)))
    except Mistaken as error:
        said = Answer(mistakes=error.mistakes)
    except SpecInvalid as error:
        said = Answer(mistakes=(Mistake(str(path), 1, str(error)),))
    answer.write_bytes(msgspec.json.encode(to_plain(said)))
    return 2 if said.mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
