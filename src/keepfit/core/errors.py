"""The one exception tree of keepfit.

    KeepfitError
    ├── Invalid              the caller's input is wrong            (4xx, exit 2)
    │   ├── SpecInvalid      a service file or its specification
    │   ├── DataInvalid      a data file, a row, a value
    │   └── SignatureInvalid inputs that do not fit a Signature
    ├── NotFound             no such service, version, record, artifact
    ├── Conflict             true now, may be allowed later or with an approval
    ├── Refused              a Bundle or an update which must not be used
    ├── Unavailable          the process or place asked is not ready
    ├── ModelFault           the model raised, or answered out of its Signature
    ├── StorageFault         bytes are missing, altered, or could not be written
    └── MissingExtra         an optional dependency is absent (also an ImportError)

Every message says which thing, what was expected, what was found and what to do. `code` is the machine
code; status and exit codes belong to the edge.
"""

from __future__ import annotations


class KeepfitError(Exception):
    """An error keepfit raises on purpose; `code` names its kind for machines."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Invalid(KeepfitError):
    """The caller's input is wrong and will stay wrong."""

    code = "invalid"


class SpecInvalid(Invalid):
    """A service file, or the specification made from it, is wrong."""

    code = "spec_invalid"


class DataInvalid(Invalid):
    """A data file, a row or a value cannot be read as what it is declared to be."""

    code = "data_invalid"


class SignatureInvalid(Invalid):
    """Inputs do not fit the Signature they are sent to."""

    code = "signature_invalid"


class NotFound(KeepfitError):
    """The named thing does not exist here."""

    code = "not_found"


class Conflict(KeepfitError):
    """The request contradicts the present state or lacks the evidence it needs."""

    code = "conflict"


class Refused(KeepfitError):
    """A Bundle or an update which must not be used, with the reason."""

    code = "refused"


class Unavailable(KeepfitError):
    """The process or place asked is not ready to answer."""

    code = "unavailable"


class ModelFault(KeepfitError):
    """The model raised, or its answer does not fit its Signature."""

    code = "model_fault"


class StorageFault(KeepfitError):
    """Bytes are missing, altered, or could not be written."""

    code = "storage_fault"


class MissingExtra(KeepfitError, ImportError):
    """An optional dependency is not installed.

    >>> str(MissingExtra("onnxruntime", "onnx"))
    "'onnxruntime' is not installed; it comes with: pip install 'keepfit[onnx]'"
    """

    code = "missing_extra"

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"'{module}' is not installed; it comes with: pip install 'keepfit[{extra}]'")
