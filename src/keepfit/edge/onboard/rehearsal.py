"""Rehearsal: a finished Bundle loads and gives its golden examples' answers, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from keepfit.core import registry
from keepfit.core.errors import Refused
from keepfit.core.protocols import Runtime
from keepfit.edge.onboard.apart import main
from keepfit.serve.loading import rehearse
from keepfit.serve.manifest import manifest


def look(directory: str) -> dict[str, Any]:
    """Load the Bundle by its own Runtime and run its golden examples; Refused where it does not reproduce them."""
    folder = Path(directory)
    bundle = manifest(folder)
    runtime: Runtime = registry.load("keepfit.runtimes", bundle.runtime)()
    predictor = runtime.load(folder, bundle)
    try:
        error = rehearse(folder, bundle, predictor)
    finally:
        predictor.close()
    if not error <= bundle.tolerance:
        raise Refused(
            f"its golden examples come out otherwise: they differ by {error:.3g}, allowed are {bundle.tolerance:g}",
            code="golden_differs",
        )
    return {"error": error}


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
