"""What tests of every room share."""

from __future__ import annotations

import os
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path
from shutil import disk_usage, rmtree

import hypothesis
import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30  # bytes; all that the suite ever writes at once is a quarter of them  # noqa: S108

hypothesis.settings.register_profile(
    "same",
    derandomize=True,  # a failure is found again
    database=None,
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("same")


def has_room(folder: Path) -> bool:
    """Whether it is there, and what is written to it and kept in memory fits into both."""
    return os.access(folder, os.W_OK) and min(disk_usage(folder).free, psutil.virtual_memory().available) >= ROOM


for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # threads that share processors with other tests wait for each other, spinning
OURS = ""
if "TMPDIR" not in os.environ and has_room(MEMORY):
    OURS = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="kf-", dir=MEMORY)  # on a disk, flushes are waited for
    Path(OURS).chmod(0o1777)  # as /tmp is: some processes of tests are other users'
    tempfile.tempdir = None


def pytest_sessionfinish(exitstatus: int) -> None:
    """Give the memory back, unless somebody wants to see what a failed test wrote."""
    if OURS and not exitstatus:
        # After multiprocessing's own folder in it, which goes at the priority of -100.
        Finalize(None, rmtree, (OURS,), {"ignore_errors": True}, exitpriority=-200)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository; tests that read it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return folder
