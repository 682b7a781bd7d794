"""Designs by number, and sweeps that are the same whichever way they are computed."""

import functools
import json
import signal

import numpy as np
import pandas as pd
import psutil
import pytest

from migkit import Guest, Policy, Scenario
from migkit.errors import RunError, UsageError
from migkit.models.bulk.many import predict_many
from migkit.planning import sweep as sweeping
from migkit.planning.space import Design, Range
from migkit.planning.sweep import sweep, sweep_to

SPACE = {
    "memory_bytes": Range(low=2**28, high=2**34, log=True),
    "dirty_1_region_bytes": Range(low=2**20, high=2**26),
    "dirty_1_writes_per_s": [100.0, 20_000.0],
    "policy": ["qemu", "xen"],
}
BASE = Scenario(guest=Guest(memory_bytes=2**30), policy=Policy(max_bandwidth_bytes_per_s=1e9))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(sweeping, "PART_ROWS", 64)


@pytest.mark.parametrize("kind", ["lhs", "sobol"])
def test_any_part_of_a_design_is_that_of_the_whole(kind):
    design = Design(space=SPACE, kind=kind, points=1000, seed=3)
    whole = design.rows(0, 1000)
    for start, stop in ((0, 100), (100, 101), (937, 2000)):
        part = design.rows(start, stop)
        for name, values in part.items():
            assert values.tolist() == whole[name][start:stop].tolist()


@pytest.mark.parametrize("kind", ["lhs", "sobol"])
def test_points_fill_a_range_evenly(kind):
    values = Design(space=SPACE, kind=kind, points=1024, seed=1).rows(0, 1024)
    shares = np.log2(values["memory_bytes"] / 2**28) / 6.0
    assert np.histogram(shares, bins=16, range=(0.0, 1.0))[0].tolist() == pytest.approx([64] * 16, abs=2)
    assert (values["memory_bytes"] % 4096 == 0).all()
    assert pd.Series(values["policy"]).value_counts().tolist() == [512, 512]


def test_a_grid_is_every_combination_once():
    design = Design(space={"memory_bytes": [2**30, 2**31, 2**32], "downtime_limit_s": [0.1, 0.3]})
    rows = pd.DataFrame(design.rows(0, design.size))
    assert design.size == len(rows.drop_duplicates()) == 6


def test_a_sweep_is_predict_many_of_its_rows():
    design = Design(space=SPACE, kind="sobol", points=200, seed=5)
    found = sweep(design, BASE)
    asked = pd.DataFrame(design.rows(0, 200))
    pd.testing.assert_frame_equal(found[list(sweeping.RESULTS)], predict_many(asked, BASE), check_categorical=False)


def test_what_contradicts_itself_is_left_out_and_told():
    found = sweep(
        {"memory_bytes": [2**20, 2**30], "dirty_1_region_bytes": [2**24], "dirty_1_writes_per_s": [9]},
        Scenario(guest=Guest(memory_bytes=2**30)),
    )
    assert len(found) == 1
    assert "exceed the memory" in found.attrs["skipped"][0]


def read(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.usefixtures("small_parts")
def test_an_interrupted_sweep_computes_only_what_is_missing(tmp_path):
    ask = functools.partial(sweep_to, space=SPACE, base=BASE, kind="sobol", points=200, columns=("total_time_s",))
    whole = read(ask(tmp_path / "whole"))
    folder = ask(tmp_path / "cut")
    (folder / "part-000002.parquet").unlink()
    seen = []
    ask(folder, progress=lambda done, parts: seen.append((done, parts)))
    assert seen == [(3, 4), (4, 4)]
    assert read(folder) == whole
    table = pd.read_parquet(folder)
    assert table["number"].is_unique


@pytest.mark.usefixtures("small_parts")
def test_another_sweep_does_not_go_into_the_same_folder(tmp_path):
    sweep_to(tmp_path / "s", {"memory_bytes": [2**30]})
    with pytest.raises(UsageError, match="holds another sweep"):
        sweep_to(tmp_path / "s", {"memory_bytes": [2**31]})
    assert json.loads((tmp_path / "s" / "_sweep.json").read_text())["scenarios"] == 1
    (tmp_path / "s" / "_sweep.json").unlink()
    with pytest.raises(UsageError, match="holds other files"):
        sweep_to(tmp_path / "s", {"memory_bytes": [2**30]})


@pytest.mark.usefixtures("small_parts")
def test_two_processes_write_the_same_bytes_and_a_killed_one_loses_nothing(tmp_path):
    pytest.importorskip("distributed")
    ask = functools.partial(sweep_to, space=SPACE, base=BASE, kind="sobol", points=640, columns=("total_time_s",))
    killed = []

    def kill_one(done, parts):
        if done == 1 and not killed:
            children = psutil.Process().children(recursive=True)
            workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
            killed.append(workers[0].pid)
            workers[0].send_signal(signal.SIGKILL)

    ask(tmp_path / "two", workers=2, progress=kill_one)
    assert killed
    assert read(tmp_path / "two") == read(ask(tmp_path / "one"))


def test_a_scheduler_that_does_not_answer_is_told(tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        sweep_to(tmp_path / "s", {"memory_bytes": [2**30]}, scheduler="tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: Design(space={}), "nothing varies"),
        (lambda: Design(space={"memory": [1]}), "the column memory is not known"),
        (lambda: Design(space={"memory_bytes": 5}), "neither a range nor a list of values"),
        (lambda: Design(space={"memory_bytes": "many"}), "neither a range nor a list of values"),
        (lambda: Design(space={"policy": Range(low=0, high=1)}), "policy is no number"),
        (lambda: Design(space=SPACE, kind="random", points=3), "'random' is not known; use one of grid, lhs, sobol"),
        (lambda: Design(space=SPACE, kind="lhs"), "needs a number of points"),
        (lambda: Design(space=SPACE), "a grid needs the number of points of each range"),
        (lambda: Design(space=SPACE, kind="lhs", points=10**8), "drawn as a whole"),
        (lambda: Design(space=SPACE, kind="sobol", points=2**31), "at most 1,073,741,824"),
        (lambda: Design(space={"memory_bytes": [2**30]}, points=4), "leave out points"),
        (lambda: Range(low=2, high=1), "the range 2 to 1 is empty"),
        (lambda: Range(low=0, high=1, log=True), "cannot begin at 0"),
        (lambda: Range(low=0, high=1, points=1), "1 points are no range"),
        (lambda: sweep({"memory_bytes": [2**30]}, columns=("speed",)), "'speed' is no result"),
        (
            lambda: sweep(dict.fromkeys(("memory_bytes", "rtt_s"), Range(low=1, high=2, points=10**4))),
            "too many for memory",
        ),
    ],
)
def test_wrong_sweeps_are_one_line(ask, message):
    with pytest.raises(UsageError) as error:
        ask()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
