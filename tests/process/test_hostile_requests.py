"""Requests nobody should send: each is refused with its own sentence, none is a 5xx or harms the runner."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

import toys
from hostile_requests import CASES, Hostile
from runners import PATIENCE, Reply, Served, inference, served


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`toy` and `toy@2`; afterwards the worker that began is still there, and counted no error of its own."""
    with served(tmp_path_factory.mktemp("hostile")) as runner:
        for version, signature in enumerate((toys.TENSOR, toys.COLUMNS), 1):
            runner.put(version, signature=signature)
            found = runner.ask(do="swap", version=version, digest=runner.digests[version], major=version)
            assert found["ok"], found
        before = runner.fronts()
        yield runner
        assert runner.fronts() == before
        assert runner.status()["workers"][0]["errors"] == 0
        assert runner.call("POST", "/v2/models/toy/infer", inference(np.zeros((1, 20)))).status == 200


def told(port: int, data: bytes) -> Reply:
    """The last answer to `data`, once the runner closed the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:

        def send() -> None:
            with contextlib.suppress(OSError):  # it may close while the rest is still being sent
                line.sendall(data)

        sending = threading.Thread(target=send)
        sending.start()
        found = b""
        with contextlib.suppress(ConnectionResetError):  # after the answer, where more had come than was read
            while part := line.recv(2**16):
                found += part
        sending.join()
    head, _, body = found.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return Reply(int(lines[0].split()[0]), headers, body)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_with_its_own_sentence(runner: Served, case: Hostile) -> None:
    """The status, the machine code, and words that are in no other case's answer."""
    reply = told(runner.port, case.sent)
    assert (reply.status, reply.json["code"]) == (case.status, case.code), reply.body
    assert case.says in reply.json["error"]
    assert len(reply.json["error"]) < 400
    assert set(reply.json) == {"error", "code"}


def test_every_case_has_words_of_its_own() -> None:
    """There are many, and no two are told the same."""
    assert len(CASES) > 100
    assert [says for says, times in Counter(case.says for case in CASES).items() if times > 1] == []


def test_all_at_once(runner: Served) -> None:
    """Every case on a connection of its own, together with requests that are right: those are all answered."""
    answers: list[int] = []

    def ask() -> None:
        for _ in range(20):
            answers.append(runner.call("POST", "/v2/models/toy/infer", inference(np.zeros((1, 20)))).status)

    crowd = [threading.Thread(target=told, args=(runner.port, case.sent)) for case in CASES]
    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in crowd + asking:
        thread.start()
    for thread in crowd + asking:
        thread.join()
    assert answers == [200] * 80
