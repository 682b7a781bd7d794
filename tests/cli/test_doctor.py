from __future__ import annotations

import json
import subprocess
import sys

import pytest

from migkit.harness.probe import PROBES, Probe, probe, probe_all


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "migkit", "doctor", *arguments], capture_output=True, text=True)


def test_json_holds_every_feature_with_reason_and_remedy():
    done = run("--format", "json")
    assert done.returncode == 0, done.stderr
    features = json.loads(done.stdout)["features"]
    assert [f["key"] for f in features] == list(PROBES)
    for feature in features:
        assert feature["reason"]
        assert bool(feature["remedy"]) != feature["available"] or feature["key"] in ("memory", "shm"), feature


def test_table_names_every_feature():
    done = run()
    assert done.returncode == 0, done.stderr
    assert all(key in done.stdout for key in PROBES)


def test_require_ends_with_4_exactly_when_it_is_missing():
    for found in probe_all():
        if found.key in ("shm", "soft-dirty"):
            done = run("--require", found.key)
            assert done.returncode == (0 if found.available else 4)
            assert found.available or done.stderr.startswith(f"migkit: {found.key}: {found.reason}")


def test_unknown_key_is_wrong_usage():
    done = run("--require", "magic")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("key", PROBES)
def test_a_probe_finds_the_same_twice(key: str):
    first = probe(key)
    probe.cache_clear()
    again = probe(key)
    assert isinstance(first, Probe)
    assert first.available == again.available
