"""The front door: what a newcomer writes first, in Python and for a type checker."""

import importlib
import pkgutil
import subprocess
import sys
import types

import pytest

import migkit
from migkit import Calibration, DirtyClass, DirtyProfile, Guest, Link, Policy, Scenario, Strategy, Trace
from migkit.errors import RunError, UsageError
from tests.conftest import TOP

GUEST = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**24, writes_per_s=500.0),))
TABLES = {"guest": {"memory": "256 MiB", "dirty": [{"region": "16 MiB", "writes_per_s": 500.0}]}}
FILE = '[guest]\nmemory = "256 MiB"\n[[guest.dirty]]\nregion = "16 MiB"\nwrites_per_s = 500.0\n'
TRACES = sorted((TOP / "data" / "traces").glob("*.parquet"))


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "vm.toml"
    file.write_text(FILE)
    return file


@pytest.mark.parametrize("call", [migkit.predict, migkit.simulate, migkit.compare])
def test_a_guest_a_scenario_a_path_and_a_mapping_say_the_same(call, path):
    first = call(GUEST)
    assert all(call(given) == first for given in (Scenario(guest=GUEST), path, str(path), TABLES))
    assert call(guest=GUEST) == first


@pytest.mark.parametrize("call", [migkit.predict, migkit.simulate, migkit.compare, migkit.capture])
def test_what_is_no_scenario_is_refused_in_one_line(call, path):
    for given, said in ((None, "no guest was given"), (5, "5 is no scenario"), (path.parent, "cannot be read")):
        with pytest.raises(UsageError, match=said):
            call(given)
    with pytest.raises(UsageError, match="a scenario and parts of one"):
        call(path, policy=Policy())
    with pytest.raises(UsageError, match="two guests"):
        call(GUEST, guest=GUEST)
    with pytest.raises(UsageError, match="policy 'nova' is no Policy"):
        call(GUEST, policy="nova")


def test_parts_go_with_a_guest():
    with_parts = migkit.predict(GUEST, policy=Policy(name="xen"), strategy=Strategy(name="stopcopy"))
    assert with_parts == migkit.predict(
        Scenario(guest=GUEST, policy=Policy(name="xen"), strategy=Strategy(name="stopcopy"))
    )


def test_every_noun_reads_text_with_units():
    assert Guest.parse(**TABLES["guest"]) == GUEST
    assert Guest.parse(memory="256 MiB", dirty=GUEST.dirty) == GUEST
    assert Scenario.parse(**TABLES) == Scenario(guest=GUEST) == Scenario.parse(guest=GUEST)
    assert Link.parse(bandwidth="10 Gbit/s", rtt="1 ms") == Link(bandwidth_bytes_per_s=1.25e9, rtt_s=1e-3)
    assert Policy.parse(name="nova", settings={"steps": 5}).setting("steps") == 5
    assert Strategy.parse(name="hybrid", postcopy_after="2 s").postcopy_after_s == 2.0
    assert migkit.Host.parse(page_header="9 B").page_header_bytes == 9
    steps = DirtyClass.parse(region="4 KiB", writes_per_s=1, phases=[("4 s", 1.0), ("1 s", 0.0)]).phases
    assert steps == ((4.0, 1.0), (1.0, 0.0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Guest.parse(memory="32"), 'guest.memory: "32" has no unit'),
        (lambda: Guest.parse(memory=2**30), "guest.memory: 1073741824 has no unit"),
        (lambda: Guest.parse(memory_bytes=2**30), 'guest.memory_bytes: not a known key; did you mean "memory"'),
        (lambda: Guest.parse(), "guest.memory: missing"),
        (lambda: DirtyClass.parse(region="1 MiB"), "guest.dirty.writes_per_s: missing"),
        (lambda: Policy.parse(name="nowa"), "policy.name: 'nowa' is not known"),
    ],
)
def test_text_that_is_wrong_names_its_key(call, said):
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value).startswith(said)


def test_files_are_read_by_their_content(path, tmp_path):
    assert migkit.load(path) == Scenario(guest=GUEST)
    renamed = tmp_path / "no-suffix"
    renamed.write_text('{"guest": {"memory": "256 MiB", "dirty": [{"region": "16 MiB", "writes_per_s": 500.0}]}}')
    assert migkit.load(renamed) == Scenario(guest=GUEST)
    profile = tmp_path / "profile"
    profile.write_text('{"windows_s": [0.1], "unique_pages": [5], "memory_bytes": 1048576, "page_bytes": 4096}')
    assert isinstance(migkit.load(profile), DirtyProfile)
    trace = tmp_path / "trace"
    trace.write_bytes(TRACES[0].read_bytes())
    assert isinstance(migkit.load(trace), Trace)
    calibration = tmp_path / "calibration"
    importlib.import_module("migkit.calibrate.store").save(migkit.fit(TRACES), calibration)
    assert isinstance(migkit.load(calibration), Calibration)


def test_a_file_of_no_known_kind_is_refused(tmp_path):
    for name, content in (("noise", b"\xff\x00"), ("table.csv", b"a,b\n1,2\n"), ("other.json", b'{"a": 1}')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match="is no scenario"):
            migkit.load(tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        migkit.load(tmp_path / "missing")


def test_a_place_that_cannot_be_written_is_refused_before_the_run(tmp_path):
    def never(sample):
        raise RunError("the guest has moved")

    with pytest.raises(UsageError, match="does not exist"):
        migkit.capture(GUEST, output=tmp_path / "no" / "run.parquet", progress=never)


def test_constants_are_fitted_to_traces_and_to_their_files():
    assert migkit.fit(TRACES) == migkit.fit([migkit.load(path) for path in TRACES])


def test_no_function_hides_a_module():
    modules = [found.name for found in pkgutil.walk_packages(migkit.__path__, "migkit.")]
    modules = [name for name in modules if not name.endswith("__main__")]
    for name in modules:
        importlib.import_module(name)
    hidden = {
        name
        for name in modules
        if not isinstance(getattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2]), types.ModuleType)
    }
    assert hidden <= {"migkit.calibrate.fit"}  # the one that is left: its function is public under that name


CONSUMER = """
from pathlib import Path

import pandas as pd

import migkit
from migkit import DirtyClass, Guest, Link, Policy, Prediction, Scenario, Simulation, Strategy, Trace

guest: Guest = Guest.parse(memory="32 GiB", dirty=[{"region": "4 GiB", "writes_per_s": 1.0}])
one: Prediction = migkit.predict(guest, link=Link.parse(bandwidth="10 Gbit/s"))
two: Prediction = migkit.predict(Scenario(guest=guest))
three: Prediction = migkit.predict(Path("vm.toml"))
four: Prediction = migkit.predict({"guest": {"memory": "1 GiB"}})
runs: Simulation = migkit.simulate(guest, repeats=3)
seconds: float = runs.mean("total_time_s") + one.total_time_s
side_by_side: Prediction = migkit.compare(guest, policies="all")["qemu", "precopy"]
trace: Trace = migkit.capture(guest, strategy=Strategy(name="postcopy"), output="run.parquet")
host: migkit.Host = migkit.fit([trace, "other.parquet"]).host
loaded = migkit.load("vm.toml")
if isinstance(loaded, Scenario):
    name: str = loaded.policy.name
many: pd.DataFrame = migkit.predict_many(pd.DataFrame({"memory_bytes": [2**30]}))
"""


def typed(tmp_path, text):
    (tmp_path / "consumer.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "consumer.py"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)


def test_people_who_check_their_types_find_them(tmp_path):
    done = typed(tmp_path, CONSUMER)
    assert done.returncode == 0, done.stdout
    wrong = typed(tmp_path, CONSUMER + "bad: int = migkit.predict(guest).verdict\nmigkit.predict(5)\n")
    assert "Incompatible types in assignment" in wrong.stdout
    assert 'Argument 1 to "predict" has incompatible type "int"' in wrong.stdout
