"""Readers take whatever comes with nothing but documented errors; a short part here, the million on demand."""

import pytest

from migkit.errors import UsageError
from migkit.harness.runs.warm import warm_up
from migkit.scenario import Guest, Link, profile
from tests.verification.fuzz import TARGETS, fuzz


@pytest.fixture(scope="module", autouse=True)
def compiled():
    warm_up()


@pytest.mark.parametrize("reader", TARGETS)
def test_generated_inputs_give_documented_errors(reader):
    assert fuzz(reader, 1500) == ""


@pytest.mark.verification
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("reader", TARGETS)
def test_a_million_generated_inputs_give_documented_errors(reader):
    assert fuzz(reader, 1_000_000) == ""


def test_a_crash_is_found_and_its_input_kept(monkeypatch, tmp_path):
    import dataclasses
    import os
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken = dataclasses.replace(TARGETS["profile"], read=lambda data: os._exit(3) if len(data) > 200 else None)
    monkeypatch.setitem(TARGETS, "profile", broken)
    found = fuzz("profile", 1000)
    assert found == f"profile: ended with 3; the input is in {tmp_path}/migkit-fuzz-profile"
    assert len((tmp_path / "migkit-fuzz-profile").read_bytes()) > 200


@pytest.mark.parametrize(
    "build", [lambda: Guest(memory_bytes=10**400), lambda: Link(steps=((10**400, 1),)), lambda: Link(rtt_s=10**400)]
)
def test_a_number_beyond_every_float_is_refused(build):
    with pytest.raises(UsageError, match="is not a"):
        build()


def test_a_profile_with_numbers_beyond_every_float_is_refused(tmp_path):
    (tmp_path / "p").write_text(
        '{"windows_s": [1], "unique_pages": [1], "page_bytes": 4096, "memory_bytes": 1' + "0" * 400 + "}"
    )
    with pytest.raises(UsageError, match="memory_bytes is above 9223372036854775807 B"):
        profile.load(tmp_path / "p")
