"""A Routing: one loaded Version and everything that answering with it needs."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from keepfit.core.errors import Invalid, KeepfitError, ModelFault, Refused
from keepfit.core.nouns import Bundle, Check, Digest, Held
from keepfit.core.protocols import Predictor
from keepfit.core.service import Serving
from keepfit.serve.capture import Form
from keepfit.serve.loading import Arrays, deviation, golden, load
from keepfit.serve.messages import JSON
from keepfit.serve.screen import Screen
from keepfit.serve.tally import Answering
from keepfit.serve.wire import Inference, Labels, Rows

Mask = tuple[str, ...]

_QUICK = 0.002  # seconds that a model in this process may hold up the event loop
_MOST = 256  # rows it may answer there however quick it is


class Routing:
    """One loaded Version, the wires it is spoken to by, and how many requests hold it.

    `quick` is the number of rows it may answer on the event loop: 0 for a model in a process of its own. `counted` is
    what it answered, by Slot; `screen` says what of a request is out of line, where that is asked.
    """

    def __init__(
        self, service: str, held: Held, bundle: Bundle, predictor: Predictor, quick: int = _MOST, *, mask: Mask = ()
    ) -> None:
        self.version: int = held.version
        self.digest: Digest = held.digest
        self.bundle = bundle
        self.predictor = predictor
        self.quick = quick if predictor.inline else 0
        self.inference = Inference(service, held.version, held.digest, bundle.signature)
        self.rows = Rows(bundle.signature)
        self.labels = Labels(bundle.label, bundle.task, bundle.classes) if bundle.label else None
        self.form = Form(held.version, bundle.signature, mask)
        self.counted: dict[str, Answering] = {}
        self.screen: Screen | None = None
        self.headers = JSON + b"keepfit-version: %d\r\nkeepfit-bundle: %s\r\n" % (held.version, held.digest.encode())
        self.leases = 0


def open_routing(service: str, held: Held, directory: Path, aside: bool, serving: Serving) -> Routing:
    """Load a Version, run its golden examples and warm it up; Refused with the reason where it may not answer.

    `aside` has it loaded in a process of its own, of the lowest priority. Blocks: not for the event loop.
    """
    bundle, predictor = load(directory, aside=aside, serving=serving)
    try:
        if bundle.service != service:
            raise Refused(f"the Bundle was made for service '{bundle.service}', not '{service}'", code="wrong_service")
        inputs, expected = golden(directory, bundle)
        error = deviation(predictor, inputs, expected)  # which also warms it up
        if not error <= bundle.tolerance:
            raise Refused(
                f"v{held.version} misses its golden examples by {error:.3g}; at most {bundle.tolerance:g} is allowed",
                code="golden",
            )
        routing = Routing(service, held, bundle, predictor, _quick(predictor, inputs), mask=serving.mask)
        if serving.check != Check.OFF and (bundle.requirements.columns or bundle.requirements.rules):
            routing.screen = Screen(bundle.requirements, bundle.signature)
        return routing
    except (ModelFault, Invalid) as error:
        predictor.close()
        raise Refused(f"v{held.version} fails on its golden examples: {error}", code="golden") from error
    except KeepfitError:
        predictor.close()
        raise


def _quick(predictor: Predictor, inputs: Arrays) -> int:
    """How many rows the model answers in the time it may hold up the event loop, by its golden examples.

    What a call costs whatever its rows is counted once; a row more counts as a sixteenth of it at least.
    """
    if not predictor.inline:
        return 0
    more = len(next(iter(inputs.values()))) - 1
    one = {name: values[:1] for name, values in inputs.items()}
    first, whole = (min(_timed(predictor, rows) for _ in range(3)) for rows in (one, inputs))
    each = max((whole - first) / more if more else first, first / 16, 1e-9)
    return min(_MOST, 1 + int((_QUICK - first) / each)) if first < _QUICK else 0


def _timed(predictor: Predictor, inputs: Arrays) -> float:
    began = perf_counter()
    predictor.predict(inputs)
    return perf_counter() - began
