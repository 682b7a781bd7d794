import pytest

from migkit import DirtyClass, Guest, Policy, Scenario, compare, predict
from migkit.errors import UsageError

GUEST = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**24, writes_per_s=2000.0),))


def test_each_pair_is_predicted_by_itself():
    found = compare(GUEST, policies=["nova", "ovirt"], strategies=["precopy", "hybrid"])
    assert list(found) == [("nova", "precopy"), ("nova", "hybrid"), ("ovirt", "precopy"), ("ovirt", "hybrid")]
    assert found["nova", "precopy"] == predict(GUEST, policy=Policy(name="nova"))


def test_what_the_scenario_gives_holds_under_every_policy():
    own = Policy(downtime_limit_s=0.05, max_bandwidth_bytes_per_s=2e8, settings=(("throttle_max", 0.5),))
    wanted = predict(GUEST, policy=Policy(name="nova", downtime_limit_s=0.05, max_bandwidth_bytes_per_s=2e8))
    tables = {"guest": {"memory": "256 MiB", "dirty": [{"region": "16 MiB", "writes_per_s": 2000.0}]}}
    tables["policy"] = {"downtime_limit": "50 ms", "max_bandwidth": "200 MB/s", "settings": {"throttle_max": 0.5}}
    for given in (Scenario(guest=GUEST, policy=own), tables, tables | {"policy": own}):
        assert compare(given, policies=["nova"], strategies=["precopy"])["nova", "precopy"] == wanted


def test_a_default_that_a_file_spells_out_holds_too():
    tables = {"guest": {"memory": "1 GiB"}, "policy": {"max_bandwidth": "128 MiB/s"}}
    found = compare(tables, policies=["libvirt"], strategies=["precopy"])["libvirt", "precopy"]
    assert found == predict(
        Guest(memory_bytes=2**30), policy=Policy(name="libvirt", max_bandwidth_bytes_per_s=2.0**27)
    )


@pytest.mark.usefixtures("built_in_policies")
def test_a_table_has_a_row_for_each_pair():
    frame = compare(GUEST, policies="all", level=None).to_frame()
    assert len(frame) == len(frame[["policy", "strategy"]].drop_duplicates())
    assert frame["total_time_s"].notna().all()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["all", "foo"], "'foo' is not known; use all, or some of"),
        ([], "no name was given"),
    ],
)
def test_names_that_are_wrong_are_said(names, said):
    with pytest.raises(UsageError, match=said):
        compare(GUEST, policies=names)
