"""Labels: a JSON array of `{"id", "label"}`, or one such object."""

from __future__ import annotations

from typing import Any

import msgspec

from keepfit.core.errors import SignatureInvalid
from keepfit.core.nouns import Task
from keepfit.core.signature import Field
from keepfit.serve.wire.elements import element_type, invalid_json, misfit, parsed


class _Label(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    label: Any


_decode = msgspec.json.Decoder(list[_Label] | _Label).decode


class Labels:
    """Decodes the labels of one Service: values of the label's type; of the two classes where there are two."""

    def __init__(self, field: Field, task: Task | None, classes: tuple[str | int | bool, ...]) -> None:
        self._field = field
        self._type = list[element_type(field)]  # type: ignore[misc]  # made at run time
        self._classes = frozenset(classes) if task is Task.BINARY else frozenset()

    def decode(self, body: bytes) -> tuple[list[str], list[Any]]:
        """Record ids and label values; SignatureInvalid where one of them is not of the label's type."""
        try:
            found: Any = _decode(body)
        except msgspec.ValidationError as error:
            parsed(body)
            raise SignatureInvalid(f"the body is no list of labels: {error}", code="invalid_request") from error
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise invalid_json(body, error) from error
        labels = found if isinstance(found, list) else [found]
        if not labels:
            raise SignatureInvalid("the request has no labels; send at least one", code="empty_batch")
        return [label.id for label in labels], self._values(labels)

    def _values(self, labels: list[_Label]) -> list[Any]:
        values: list[Any] = [label.label for label in labels]
        try:
            values = msgspec.convert(values, self._type)
        except msgspec.ValidationError as error:
            found = misfit(self._field, values)[1]
            wrong = next(label for label in labels if label.label is found)
            raise SignatureInvalid(
                f"label of '{wrong.id}': expected {self._field.dtype}, found {found!r:.60}", code="label_wrong_type"
            ) from error
        if self._classes and not self._classes.issuperset(values):
            strange = next(label for label in labels if label.label not in self._classes)
            raise SignatureInvalid(
                f"label of '{strange.id}': expected one of {sorted(self._classes, key=str)}, found {strange.label!r}",
                code="label_wrong_type",
            )
        return values
