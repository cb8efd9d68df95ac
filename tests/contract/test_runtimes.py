"""The law suite over every registered runtime, each with a model that its own framework made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import frameworks
from keepfit.core import registry
from keepfit.testing import check_runtime

NAMES = sorted(registry.names("keepfit.runtimes"))
FRAMEWORKS = {
    "lightgbm": ("lightgbm", "lightgbm"),
    "onnx": ("onnxruntime", "onnx"),
    "sklearn": ("skops", "sklearn"),
    "torch": ("torch", "torch"),
    "xgboost": ("xgboost", "xgboost"),
    "mlflow": ("yaml", "mlflow"),
}
WITHOUT = """
import sys
from pathlib import Path
from keepfit.core.errors import MissingExtra
from keepfit.core.imports import do_without
from keepfit.core import registry
from keepfit.serve.manifest import manifest
runtime, directory, module = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
do_without(module)
try:
    registry.load("keepfit.runtimes", runtime)().load(directory, manifest(directory))
except MissingExtra as error:
    print(error)
"""
OFFLINE = """
import sys
from pathlib import Path
touched, watched = [], ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda event, args: touched.append(event) if event in watched else None)
from keepfit.core import registry
from keepfit.serve.loading import rehearse
from keepfit.serve.manifest import manifest
directory = Path(sys.argv[1])
bundle = manifest(directory)
predictor = registry.load("keepfit.runtimes", bundle.runtime)().load(directory, bundle)
print(rehearse(directory, bundle, predictor) <= bundle.tolerance, touched)
"""


def _said(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_runtime_has_a_model() -> None:
    """No runtime is registered without a Bundle that the laws are tried on."""
    assert sorted(frameworks.MAKERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_runtime(name: str, tmp_path: Path) -> None:
    """Every registered runtime keeps the law."""
    check_runtime(name, frameworks.MAKERS[name](tmp_path / "bundle"))


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_a_missing_framework_names_its_extra(name: str, tmp_path: Path) -> None:
    """Without the framework, the error says what to install."""
    directory = frameworks.MAKERS[name](tmp_path / "bundle")
    module, extra = FRAMEWORKS[name]
    assert f"keepfit[{extra}]" in _said(WITHOUT, name, str(directory), module)


@pytest.mark.parametrize("name", NAMES)
def test_loading_and_answering_stay_off_the_network(name: str, tmp_path: Path) -> None:
    """No runtime connects anywhere, nor asks for a name."""
    assert _said(OFFLINE, str(frameworks.MAKERS[name](tmp_path / "bundle"))) == "True []"
