"""What logs tell of the parts of a downtime, and what one run tells of the next."""

import dataclasses

import pytest

from migkit.calibrate.fit import fit
from migkit.calibrate.log_costs import with_downtimes
from migkit.importers import read
from migkit.scenario import Host
from migkit.traces import data, io


def log(name):
    return read(data.data_path(f"kvm_database/{name}.json.gz"))[0]


def stood(one):
    return one.meta["totals"]["downtime_s"], float(one.frame["downtime_bytes"].max())


@pytest.mark.parametrize("name", ["precopy-16t-1", "precopy-16t-2", "precopy-16t-3", "autoconverge-16t-3"])
def test_a_pass_of_the_same_size_is_predicted_as_it_was_measured(name):
    one = log(name)
    down_s, sent = stood(one)
    host = with_downtimes(Host(), [one])
    assert sent / host.goodput_bytes_per_s + host.load_s == pytest.approx(down_s, rel=0.15)


def test_one_long_downtime_does_not_decide():
    """This one stood for 383 ms, the three others of its series for 23 to 30 ms."""
    alone = with_downtimes(Host(), [log("precopy-16t-8")])
    beside = with_downtimes(Host(), [log(f"precopy-16t-{number}") for number in (1, 2, 3, 8)])
    assert alone.load_s < 0.5 * stood(log("precopy-16t-8"))[0]
    assert alone.load_s.spread > 2.0 * with_downtimes(Host(), [log("precopy-16t-1")]).load_s.spread
    assert beside.load_s < 0.03


def test_the_harness_releases_its_source_after_the_guest_runs():
    traces = [io.read(path) for path in data.shipped_traces()]
    host = fit(traces).host
    assert 0.02 < host.release_s < 0.08


def test_a_constant_that_each_run_tells_once_is_as_uncertain_as_the_runs_differ():
    traces = [io.read(path) for path in data.shipped_traces()]
    found = fit(traces)
    error = found.standard_errors["setup_s"] / found.host.setup_s
    assert found.host.setup_s.spread > 2.0 * error
    framing = found.standard_errors["page_header_bytes"] / found.host.page_header_bytes
    assert found.host.page_header_bytes.spread <= framing


def with_downtime(one, down_s):
    totals = {**one.meta["totals"], "downtime_s": down_s}
    return dataclasses.replace(one, meta={**one.meta, "totals": totals})


def test_stops_of_two_kinds_are_told_one_by_one():
    some = [with_downtime(log("postcopy-4t-1"), down_s) for down_s in (0.021, 0.02, 0.08, 0.022, 0.021)]
    load_s = with_downtimes(Host(), some).load_s
    assert load_s == pytest.approx(0.021, rel=0.1)
    assert [round(load_s * factor, 3) for factor in load_s.factors] == [0.02, 0.021, 0.021, 0.022, 0.08]


def test_few_stops_and_passes_that_are_mostly_pages_tell_no_kinds():
    assert with_downtimes(Host(), [log(f"postcopy-4t-{number}") for number in (1, 2, 3, 4)]).load_s.factors == ()
    assert with_downtimes(Host(), [log(f"precopy-4t-{number}") for number in (1, 2, 3, 4, 5)]).load_s.factors == ()
