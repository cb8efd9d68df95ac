"""A coverage-guided fuzzer of the wire decoders: `python tests/fuzz_wires.py RUNS`; ends with 77 without atheris.

The first byte of an input chooses the decoder and the Signature, the second and third say where raw data begins. An
exception that is not keepfit's own is a crash, and the fuzzer ends with its traceback.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

try:
    import atheris
except ImportError:  # no wheel for this system, or not installed
    sys.exit(77)

with atheris.instrument_imports(include=["keepfit.serve.wire"]):
    from keepfit.serve.wire.inference import Inference
    from keepfit.serve.wire.invocations import Invocations
    from keepfit.serve.wire.labels import Labels
    from keepfit.serve.wire.rows import Rows

from keepfit.core.errors import KeepfitError
from keepfit.core.nouns import Task
from keepfit.core.signature import DType, Field, Signature

OUT = (Field("prediction", DType.INT64),)
SIGNATURES = (
    Signature((Field("x", DType.FP32, (2,)),), OUT),
    Signature((Field("a", DType.FP64, nullable=True), Field("b", DType.BYTES), Field("c", DType.BOOL)), OUT),
    Signature((Field("t", DType.INT64, nullable=True, timestamp=True), Field("e", DType.BYTES, choices=("r",))), OUT),
    Signature((Field("f", DType.UINT8, (-1,)),), OUT),
    Signature((Field("w", DType.FP16, (2, 2)),), OUT, batched=False),
)
SEEDS = [
    b'\x00%s{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}' % b"\xff\xff",
    b'\x01%s{"inputs":[{"name":"a","datatype":"FP64","shape":[1],"data":[null]},{"name":"b","datatype":"BYTES",'
    b'"shape":[1],"data":["x"]},{"name":"c","datatype":"BOOL","shape":[1],"data":[true]}]}' % b"\xff\xff",
    b'\x00\x00\x61{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]}'
    b"\0\0\0\0\0\0\x80\x3f",
    b'\x06%s[{"a":1.5,"b":"x","c":true},{"a":null,"b":"","c":false,"_id":"1"}]' % b"\xff\xff",
    b'\x07%s{"t":1,"e":"r"}' % b"\xff\xff",
    b'\x0b%s{"dataframe_split":{"columns":["a","b","c"],"data":[[1,"x",true]]}}' % b"\xff\xff",
    b"\x10%sa,b,c\n1.5,x,true\n,y,false\n" % b"\xff\xff",
    b'\x14%s[{"id":"a","label":1}]' % b"\xff\xff",
]


def _decoders() -> list[Callable[[bytes, bytes | None], object]]:
    found: list[Callable[[bytes, bytes | None], object]] = [
        *(Inference("m", 1, "d", signature).decode for signature in SIGNATURES)
    ]
    for wires in (
        [Rows(signature).decode for signature in SIGNATURES],
        [Invocations(signature).decode for signature in SIGNATURES],
        [Invocations(signature).decode_csv for signature in SIGNATURES],
        [Labels(Field("y", DType.INT64), Task.BINARY, (0, 1)).decode],
    ):
        found += [lambda body, head, wire=wire: wire(body) for wire in wires]  # type: ignore[misc]
    return found


DECODERS = _decoders()


def once(data: bytes) -> None:
    """Decode one input."""
    if len(data) < 3:
        return
    begins = int.from_bytes(data[1:3], "big")
    head = None if begins == 0xFFFF else b"%d" % begins
    try:
        DECODERS[data[0] % len(DECODERS)](data[3:], head)
    except KeepfitError as error:
        if not str(error) or error.code == "error":
            raise AssertionError("an error without a sentence or a code") from error


def main(runs: int) -> None:
    """Run so many inputs, beginning with the seeds; deterministic."""
    with tempfile.TemporaryDirectory() as place:
        for number, seed in enumerate(SEEDS):
            (Path(place) / str(number)).write_bytes(seed)
        options = [f"-runs={runs}", "-seed=1", "-max_len=400", "-verbosity=0", f"-artifact_prefix={place}/"]
        atheris.Setup([sys.argv[0], *options, place], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]))
