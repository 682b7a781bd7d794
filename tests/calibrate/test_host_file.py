import dataclasses
import math

import pytest

from migkit.calibrate import fit, host_file
from migkit.errors import UsageError
from migkit.importers import read
from migkit.scenario import Guest, Host, Scenario
from migkit.scenario.installation.typical import Typical
from migkit.traces import data, io


def log(name):
    return read(data.data_path(f"kvm_database/{name}.json.gz"))[0]


@pytest.fixture(scope="module")
def of_logs():
    return fit([], logs=[log("precopy-4t-1"), log("postcopy-4t-1")])


def test_a_log_of_post_copy_tells_the_push_and_the_service_of_faults(of_logs):
    host = of_logs.host
    assert host.postcopy_bytes_per_s == pytest.approx(2.64e9, rel=0.1)
    assert host.zero_page_cpu_s + host.postcopy_zero_page_cpu_s == pytest.approx(0.55e-6, rel=0.15)
    assert host.fault_service_s == pytest.approx(2.0e-4, rel=0.05)
    assert all(error > 0 for error in of_logs.standard_errors.values())


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_push_takes_as_long_as_it_took(number):
    """Steps in which it stood still count: without them each of these pushes is 1 % too short."""
    one = log(f"postcopy-4t-{number}")
    host = fit([], logs=[log("precopy-4t-2"), one]).host
    moved = one.frame[one.frame["phase"] == "postcopy"][["t_s", "normal_pages", "zero_pages"]].to_numpy(float)
    took_s, full, zero = moved[-1] - moved[0]
    zero_s = host.zero_page_cpu_s + host.postcopy_zero_page_cpu_s
    assert full * 4104.0 / host.postcopy_bytes_per_s + zero * zero_s == pytest.approx(took_s, rel=3e-3)


@pytest.mark.parametrize("name", ["precopy-4t-1", "precopy-16t-8", "autoconverge-16t-1"])
def test_a_single_final_pass_leaves_goodput_as_it_was(name):
    alone = fit([], logs=[log(name)]).host
    assert alone.goodput_bytes_per_s == Host().goodput_bytes_per_s
    assert type(alone.goodput_bytes_per_s) is Typical
    assert alone.goodput_bytes_per_s.spread == Host().goodput_bytes_per_s.spread


def test_a_single_final_pass_tells_the_load_with_a_spread():
    alone = fit([], logs=[log("precopy-4t-1")])
    assert "goodput_bytes_per_s" not in alone.constants
    assert 0.2 < alone.host.load_s.spread < Host().load_s.spread
    assert "cannot tell it from the load" in alone.refused["goodput_bytes_per_s"]
    assert "add a run without a cap" in alone.refused["goodput_bytes_per_s"]


def test_goodput_is_at_least_what_was_pushed(of_logs):
    assert of_logs.host.goodput_bytes_per_s == of_logs.host.postcopy_bytes_per_s
    assert "at least what post-copy pushed" in of_logs.refused["goodput_bytes_per_s"]


def test_logs_and_traces_of_the_harness_fit_together():
    traces = [io.read(path) for path in data.shipped_traces()]
    both = fit(traces, logs=[log("postcopy-4t-1")])
    assert both.kind == "harness and imported"
    assert both.runs == 7
    assert {"postcopy_bytes_per_s", "goodput_bytes_per_s", "page_header_bytes"} <= set(both.constants)
    assert both.host.page_header_bytes == fit(traces).host.page_header_bytes


def test_a_file_gives_back_the_numbers(of_logs, tmp_path):
    path = tmp_path / "host.toml"
    host_file.write(path, of_logs)
    back = host_file.load(path)
    assert back.host == of_logs.host
    assert back.host.load_s.spread == pytest.approx(of_logs.host.load_s.spread)
    assert back.standard_errors == dict(of_logs.standard_errors)
    assert back.covariance == of_logs.covariance
    assert dict(back.refused) == dict(of_logs.refused)


def test_a_file_gives_back_how_runs_differed(tmp_path):
    found = fit([], logs=[log(f"postcopy-4t-{number}") for number in (1, 2, 3, 4, 5)])
    assert len(found.host.load_s.factors) == 5
    host_file.write(tmp_path / "host.toml", found)
    assert host_file.load(tmp_path / "host.toml").host.load_s.factors == found.host.load_s.factors


@pytest.mark.parametrize("factors", ["[0.0, 1.0]", "[-1.0]", "[1.0, inf]", "[true]", "[nan]"])
def test_impossible_factors_are_refused(of_logs, tmp_path, factors):
    path = tmp_path / "host.toml"
    path.write_text(host_file.text(of_logs).replace("[factors]", f"[factors]\nload_s = {factors}", 1))
    with pytest.raises(UsageError, match="factors"):
        host_file.load(path)


def test_infinity_and_quotes_survive(of_logs, tmp_path):
    odd = dataclasses.replace(
        of_logs,
        host=dataclasses.replace(of_logs.host, tls_bytes_per_s=math.inf),
        refused={"load_s": 'a "quoted" \\ reason\nin two lines'},
    )
    host_file.write(tmp_path / "host.toml", odd)
    back = host_file.load(tmp_path / "host.toml")
    assert back.host.tls_bytes_per_s == math.inf
    assert back.refused == {"load_s": 'a "quoted" \\ reason in two lines'}


def test_what_a_scenario_gives_of_a_host_has_precedence(of_logs, tmp_path):
    host_file.write(tmp_path / "host.toml", of_logs)
    case = Scenario(guest=Guest(memory_bytes=2**28), host=Host(setup_s=0.5, load_s=0.25))
    on = host_file.on_host(case, {"host": {"setup": "0.5 s"}}, tmp_path / "host.toml")
    assert on.host.setup_s == 0.5
    assert on.host.load_s == of_logs.host.load_s
    assert on.host.postcopy_bytes_per_s == of_logs.host.postcopy_bytes_per_s


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("schema_version = 1", "schema_version = 2"), "schema version 2"),
        (("[host]", "[hosts]"), "is no key"),
        (("setup_s = ", "setup_ss = "), "no constant of a host|do not go together"),
        (("setup_s = 0", "setup_s = -0"), "too small"),
        (("runs = 2", 'runs = "two"'), "not a file of migkit calibrate"),
        (("covariance = [[", "covariance = [["), None),
        (("covariance = [[", "covariance = [[1.0, "), "do not go together"),
        (("setup_s = 0", "setup_s = true #"), "not a number"),
    ],
)
def test_an_altered_file_is_refused_in_one_line(of_logs, tmp_path, change, said):
    path = tmp_path / "host.toml"
    path.write_text(host_file.text(of_logs).replace(*change, 1))
    if said is None:
        host_file.load(path)
        return
    with pytest.raises(UsageError, match=said) as error:
        host_file.load(path)
    assert "\n" not in str(error.value)


def test_drift_is_told_from_scatter(of_logs):
    now = fit([], logs=[log("precopy-4t-3"), log("postcopy-4t-4")])
    assert not any(change.drifted for change in host_file.drift(of_logs, now))
    slower = dataclasses.replace(now, host=dataclasses.replace(now.host, postcopy_bytes_per_s=1.0e9))
    drifted = {c.name for c in host_file.drift(of_logs, slower) if c.drifted}
    assert drifted == {"postcopy_bytes_per_s"}
