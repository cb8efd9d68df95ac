"""Trace: valid contexts are continued under a span of our own, everything else is as if nothing had come."""

from __future__ import annotations

import pytest

from keepfit.serve.trace import begun, received

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def of(parent: str, state: str = "") -> dict[bytes, bytes]:
    return {b"traceparent": parent.encode("latin-1")} | ({b"tracestate": state.encode("latin-1")} if state else {})


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_trace_is_continued(flags: str) -> None:
    """Same trace id, a span of our own each time, the sampled flag kept and no other."""
    first, second = received(of(f"00-{ID}-{SPAN}-{flags}")), received(of(f"00-{ID}-{SPAN}-{flags}"))
    assert first is not None
    assert second is not None
    assert first.id == second.id == ID
    assert len({SPAN, first.span, second.span}) == 3
    assert first.flags == ("00" if flags == "00" else "01")
    assert first.headers == f"traceparent: 00-{ID}-{first.span}-{first.flags}\r\n".encode()
    again = received(of(first.parent))
    assert again is not None
    assert again.id == ID


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "nonsense",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"ff-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01-more",
        f"00-{ID}-{SPAN}-01\n",
        f"00-{ID}-{SPAN}-1",
        f"00-{ID}-{SPAN}",
        f" 00-{ID}-{SPAN}-01",
        f"0-{ID}-{SPAN}-01",
        f"01-{ID}-{SPAN}-01x",
        f"00-{ID}-{SPAN}-é1",
    ],
)
def test_what_is_no_traceparent_is_ignored(parent: str) -> None:
    """Together with any tracestate."""
    assert received(of(parent, "a=b")) is None


def test_later_versions_may_say_more() -> None:
    """A version that is not known yet is read as far as this one goes."""
    found = received(of(f"cc-{ID}-{SPAN}-01-what-comes-later"))
    assert found is not None
    assert found.parent.startswith(f"00-{ID}-")
    assert received(of(f"cc-{ID}-{SPAN}-01")) is not None


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (" a=1 ,\t, b=2", "a=1,b=2"),
        ("0tenant@vendor=x y", "0tenant@vendor=x y"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=", ""),
        ("a=1=2", ""),
        ("a", ""),
        (",".join(f"k{i}=v" for i in range(33)), ""),
        (",".join(f"k{i}=v" for i in range(32)), ",".join(f"k{i}=v" for i in range(32))),
        ("a=1\r\nset-cookie: x=y", ""),
    ],
)
def test_a_state_is_passed_on_or_left_out(state: str, kept: str) -> None:
    """A wrong tracestate costs the trace nothing but the state."""
    found = received(of(f"00-{ID}-{SPAN}-01", state))
    assert found is not None
    assert found.state == kept
    assert found.headers.count(b"\r\n") == (2 if kept else 1)


def test_a_trace_can_begin_here() -> None:
    """Every time another, valid for whoever gets it."""
    one, other = begun(), begun()
    assert one.id != other.id
    assert received(of(one.parent)) is not None
    assert received({}) is None
