"""A Runtime for comparison only: a Bundle's own code in the serving process, where keepfit itself never runs any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from keepfit.core.nouns import Bundle
from keepfit.serve.runtimes.code import entry_of
from keepfit.serve.runtimes.estimators import named_outputs
from keepfit.serve.runtimes.loaded import Loaded


class Inline:
    """`entry` in `code/`, a class as the runtime `python` takes it; told when it is let go."""

    inline = True

    def load(self, directory: Path, bundle: Bundle) -> Told:
        """Load the object."""
        model = entry_of(directory, bundle.entry)()
        model.load(directory)
        return Told(bundle, model)


class Told(Loaded):
    """A model that is told when it is let go; what is asked of it afterwards it answers nevertheless."""

    def __init__(self, bundle: Bundle, model: Any) -> None:
        super().__init__(bundle, lambda inputs: named_outputs(bundle, model.predict(dict(inputs))), inline=True)
        self._model = model

    def close(self) -> None:
        """Have the model wipe out its mark."""
        self._model.close()


def plugged(folder: Path) -> dict[str, str]:
    """The environment in which processes find this Runtime as `bench-inline`: a distribution of one entry point."""
    distribution = folder / "plugins" / "keepfit_bench-0.dist-info"
    distribution.mkdir(parents=True, exist_ok=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: keepfit-bench\nVersion: 0\n")
    (distribution / "entry_points.txt").write_text("[keepfit.runtimes]\nbench-inline = benchmarks.inline:Inline\n")
    return {"PYTHONPATH": f"{distribution.parent}:{ROOT}"}
