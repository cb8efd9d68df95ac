"""Small Bundles whose model is a few lines of code: what it does is in the numbers it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.nouns import Bundle
from keepfit.core.registry import canonical
from keepfit.core.signature import DType, Field, Signature

PLAIN = Signature(
    (Field("x", DType.FP64),), (Field("y", DType.FP64), Field("rows", DType.INT64), Field("says", DType.BYTES))
)
FREE = Signature((Field("x", DType.FP64, (-1,)),), PLAIN.outputs)
WHOLE = Signature(PLAIN.inputs, PLAIN.outputs, batched=False)

MODEL = '''
import ctypes, json, os, resource, sys, time
from pathlib import Path

import numpy as np

HERE = Path(PLACE)


class Model:
    """y = factor * x, `rows` the rows it was asked at once; what else it does depends on x."""

    factor = FACTOR

    def predict(self, inputs):
        x = inputs["x"]
        rows, first = len(x), x.reshape(len(x), -1)[:, 0]
        says = "fine"
        for value in first:
            says = getattr(self, f"on_{int(value)}", lambda: says)()
        return {"y": first * self.factor, "rows": np.full(rows, rows), "says": np.array([says] * rows, dtype=object)}

    def on_1000(self):  # until somebody opens the gate
        (HERE / "busy").touch()
        with open(HERE / "gate") as gate:
            gate.read()
        return "waited"

    def on_1001(self):
        raise RuntimeError("on purpose")

    def on_1002(self):
        os._exit(3)

    def on_1003(self):
        ctypes.string_at(0)

    def on_1004(self):
        while True:
            pass

    def on_1005(self):
        np.ones(2**50, np.uint8)

    def on_1006(self):
        print("printed by the model")
        os.write(1, b"written by the model")
        return "printed"

    def on_1007(self):
        from hostile import fork

        fork(HERE)

    def on_1008(self):
        from hostile import facts

        return json.dumps(facts())

    def on_1009(self):
        sys.exit(4)

    def on_1010(self):
        time.sleep(float((HERE / "nap").read_text()))
        return "slept"

    def on_1011(self):
        kept = []
        while True:
            kept.append(np.ones(2**24))

    def on_1012(self):
        os.write(int(next(f for f in os.listdir("/proc/self/fd") if "socket" in _link(f))), b"nonsense" * 10)
        return "wrote nonsense"


def _link(name):
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""
'''

HOSTILE = '''
import ctypes, os, resource, time


def fork(place):
    """A process that has children that have children, as fast as they may, in groups of their own."""
    os.setsid() if os.getpid() != os.getpgid(0) else None
    while True:
        try:
            if not os.fork():
                os.setpgid(0, 0)
                (place / "forks" / str(os.getpid())).touch()
        except OSError:
            (place / "refused").touch()
            time.sleep(0.2)


def link(file):
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return ""


def facts():
    """What the system says of this process."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)
    lines = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    kinds = ("CORE", "DATA", "NOFILE", "NPROC")
    soft = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0] for name in kinds}
    try:
        os.kill(os.getppid(), 0)
        reached = True
    except PermissionError:
        reached = False
    return {
        "uid": os.getuid(), "groups": os.getgroups(), "limits": soft, "dies_by": number.value,
        "no_new_privileges": int(lines["NoNewPrivs"]), "capabilities": int(lines["CapEff"], 16),
        "oom": int(open("/proc/self/oom_score_adj").read()), "reaches_server": reached,
        "files": list(filter(None, map(link, range(100)))),
        "scheduler": os.sched_getscheduler(0), "cwd": os.getcwd(),
    }
'''


def coded(directory: Path, *, signature: Signature = PLAIN, factor: float = 2.0, source: str = "") -> Path:
    """Write the Bundle of MODEL, or of another `source` that has a class `Model`; it meets the test in its folder."""
    code = directory / "code"
    code.mkdir(parents=True)
    place = directory.parent / "place"
    if not place.exists():
        (place / "forks").mkdir(parents=True)
        for folder in (place, place / "forks"):
            folder.chmod(0o777)  # the model may have a uid of its own
        gate(place)
    text = (source or MODEL).replace("PLACE", repr(str(place))).replace("FACTOR", repr(factor))
    (code / "model.py").write_text(text)
    (code / "hostile.py").write_text(HOSTILE)
    made = Bundle(service="toy", runtime="python", signature=signature, entry="model:Model")
    (directory / "bundle.json").write_bytes(canonical(made))
    x = np.arange(1.0, 5.0)
    golden = {"x": x, "_out_y": x * factor, "_out_rows": np.full(4, 4), "_out_says": ["fine"] * 4}
    if signature is PLAIN:
        pq.write_table(pa.table(golden), directory / "golden.parquet")
    return directory


def gate(place: Path) -> None:
    """Make the gate that `on_1000` waits at; whoever writes to it opens it."""
    import os

    os.mkfifo(place / "gate")
    (place / "gate").chmod(0o666)


def x(*values: float) -> dict[str, Any]:
    """The inputs of PLAIN."""
    return {"x": np.array(values, dtype=np.float64)}
