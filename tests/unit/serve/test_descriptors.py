"""The contract of a Signature: stable numbers, legal and unique names, a text that another parser reads the same."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

import contracts
import javascript
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire import identifiers
from keepfit.serve.wire.descriptors import classes, proto_of
from keepfit.serve.wire.members import reader_of, writer_of

OUT = (Field("p", DType.FP32),)


@pytest.mark.parametrize("seed", range(60))
def test_every_signature_has_a_contract(seed: int) -> None:
    """Whatever its names, a pool of its own accepts the descriptor; names are legal, and the same every time."""
    signature = contracts.signature(np.random.default_rng(1000 + seed))
    proto = proto_of("a-service", signature)
    assert set(classes(proto)) == {"AServiceInput", "AServiceOutput", "AServiceInputs", "AServiceOutputs"}
    for member, field in zip(proto.inputs, signature.inputs, strict=True):
        assert member.field == field
        assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in (*member.path, member.name))
    proto_of.cache_clear()
    assert proto_of("a-service", signature).text == proto.text


def test_numbers_stay_when_outputs_come() -> None:
    """What a new Version adds moves no number and no name of those that were there."""
    before = Signature((Field("x", DType.FP32),), (Field("at.lat", DType.FP32), Field("p", DType.FP32)))
    after = Signature(before.inputs, (*before.outputs, Field("at.lon", DType.FP32), Field("P", DType.FP32)))
    old, new = proto_of("s", before).outputs, proto_of("s", after).outputs
    assert [(m.path, m.name, m.number) for m in new[:2]] == [(m.path, m.name, m.number) for m in old]
    assert [m.number for m in new] == [1, 2, 3, 4]


def test_numbers_keep_out_of_what_is_reserved() -> None:
    """A Signature of 20,000 inputs uses no number twice, none of the record's id, none that protobuf reserves."""
    fields = tuple(Field(f"x{i}", DType.FP32) for i in range(20_000))
    numbers = [member.number for member in proto_of("wide", Signature(fields, OUT)).inputs]
    assert len(set(numbers)) == len(numbers)
    assert not [number for number in numbers if number == 18999 or 19000 <= number <= 19999]


def test_numbers_of_choices_are_those_of_their_texts() -> None:
    """A choice keeps its number, and its constant's name, whatever comes before or behind it."""
    few, many = identifiers.constants("C", ["b", "a"]), identifiers.constants("C", ["aa", "a", "c", "b"])
    assert {text: many[text] for text in few} == few
    assert len({number for _, number in many.values()}) == 4
    collided = identifiers.constants("C", ["New York", "new_york", "NEW-YORK"])
    assert len({name for name, _ in collided.values()}) == 3


def test_two_majors_are_two_packages() -> None:
    """A client can hold both contracts at once."""
    signature = Signature((Field("x", DType.FP32),), OUT)
    assert "package keepfit;" in proto_of("late", signature).text
    assert "package keepfit.v2;" in proto_of("late", signature, 2).text


def test_another_parser_reads_the_text_the_same(tmp_path: Path) -> None:
    """protobufjs parses the served text of 60 random Signatures, and what it reads and writes again is unchanged."""
    folder = javascript.protobufjs(tmp_path)
    cases, members = [], []
    for seed in range(60):
        random = np.random.default_rng(2000 + seed)
        signature = contracts.signature(random)
        proto = proto_of("toy", signature)
        message = classes(proto)["ToyInput"]()
        inputs = contracts.record(random, signature.inputs, 1)
        for member in proto.inputs:
            writer_of(member).write([message], inputs[member.field.name])
        body = base64.b64encode(message.SerializeToString()).decode()
        cases.append({"text": proto.text, "body": body})
        members.append((proto, inputs))
    program = """
        const pb = require("protobufjs");
        const known = pb.common.get("google/protobuf/timestamp.proto");
        const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
        console.log(JSON.stringify(cases.map(({text, body}) => {
          const type = pb.parse(text, pb.Root.fromJSON(known)).root.resolveAll().lookupType("keepfit.ToyInput");
          const plain = type.toObject(type.decode(Buffer.from(body, "base64")), {longs: String, enums: String});
          return Buffer.from(type.encode(type.fromObject(plain)).finish()).toString("base64");
        })));
    """
    answers = json.loads(javascript.run(folder, program, said=json.dumps(cases)))
    for (proto, inputs), answer in zip(members, answers, strict=True):
        message = classes(proto)["ToyInput"].FromString(base64.b64decode(answer))
        for member in proto.inputs:
            np.testing.assert_array_equal(reader_of(member).read([message])[0], inputs[member.field.name])
