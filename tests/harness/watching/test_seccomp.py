"""Filters are foreseen as the kernel answers: on a program that tries each call."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migkit.harness.watching import seccomp

LOAD, EQUAL, RETURN, AND = 0x20, 0x15, 0x06, 0x54
ALLOW, KILL = 0x7FFF0000, 0x80000000


def program(*instructions: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("<HBBI", *each) for each in instructions)


def only(number: int, answer: int) -> bytes:
    return program((LOAD, 0, 0, 0), (EQUAL, 0, 1, number), (RETURN, 0, 0, answer), (RETURN, 0, 0, ALLOW))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ALLOW, None),
        (0x7FFC0000, None),
        (KILL, "x kills the process"),
        (0, "x kills the thread"),
        (0x00030000, "x sends SIGSYS"),
        (0x00050001, "x fails with EPERM"),
        (0x7FC00000, "x asks a supervisor"),
        (0x7FF00000, "x asks a tracer"),
    ],
)
def test_each_answer_is_said(answer, said):
    assert seccomp.refusal([only(323, answer)], "x", 323, ()) == said
    assert seccomp.refusal([only(323, answer)], "x", 324, ()) is None


def test_the_most_severe_of_several_filters_counts():
    filters = [only(1, ALLOW), only(1, 0x00050001), only(1, KILL)]
    assert seccomp.refusal(filters, "write", 1, ()) == "write kills the process"
    assert seccomp.refusal(filters[:2], "write", 1, ()) == "write fails with EPERM"


def test_arguments_count():
    first_argument = 16
    masked = program(
        (LOAD, 0, 0, first_argument),
        (AND, 0, 0, 0x4000),
        (EQUAL, 0, 1, 0x4000),
        (RETURN, 0, 0, KILL),
        (RETURN, 0, 0, ALLOW),
    )
    assert seccomp.refusal([masked], "clone", 56, (0x154F00,)) == "clone kills the process"
    assert seccomp.refusal([masked], "clone", 56, (0x3D0F00,)) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_answered_or_refused(data):
    try:
        found = seccomp.answer(data[: len(data) // 8 * 8], bytes(64))
    except (ValueError, KeyError, IndexError):
        return
    assert 0 <= found < 1 << 32
