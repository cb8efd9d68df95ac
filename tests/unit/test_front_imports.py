"""What a front worker is made of decides how much memory it takes while nobody asks, and how soon it answers."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pandas", "sklearn", "scipy", "sqlalchemy", "grpc", "google.protobuf", "onnxruntime", "pyarrow.dataset")
SAID = f"import sys, keepfit.edge.front; print(*[name for name in {HEAVY!r} if name in sys.modules])"


def test_a_front_worker_is_imported_without_what_it_may_never_need() -> None:
    """Nothing that stands at the top of a module brings a library in which only some models, or nobody here, needs."""
    found = subprocess.run([sys.executable, "-c", SAID], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
