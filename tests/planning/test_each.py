"""Each host on its own: the same plans as ``drain`` makes of it alone, and the hosts that have none beside them."""

import math

import pytest

from migkit.errors import UsageError
from migkit.planning.drain import Conflict, drain, drain_each
from migkit.planning.inventory import Inventory, example
from migkit.planning.slots import Limit
from migkit.scenario import Scenario

BASE = Scenario.parse(guest={"memory": "1 GiB"}, policy={"name": "qemu", "max_bandwidth": "unlimited"})
HOSTS = [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "abcd"]


@pytest.fixture(scope="module")
def fleet():
    return Inventory.read(
        [
            *({"vm": f"a{k}", "host": "a", "memory": "4 GiB"} for k in range(3)),
            {"vm": "gpu", "host": "b", "memory": "4 GiB", "pinned": "GPU passthrough"},
            {"vm": "busy", "host": "c", "memory": "16 GiB", "dirty_rate": "9 GB/s", "dirty_window": "1 s"},
        ],
        HOSTS,
    )


def test_each_row_is_the_plan_of_that_host_alone():
    fleet, limits = example(hosts=8, machines=80, seed=3), [Limit("cluster", 3)]
    found = drain_each(fleet, base=BASE, limits=limits, improve_s=0.0).hosts.set_index("host")
    assert sorted(found.index) == sorted(fleet.hosts["host"])
    for host in fleet.hosts["host"]:
        plan = drain(fleet, [host], base=BASE, limits=limits, improve_s=0.0)
        assert found.loc[host, "empty_s"] == plan.makespan_s
        assert found.loc[host, "lower_bound_s"] == plan.lower_bound_s
        assert found.loc[host, "machines"] == len(plan.moves)
        assert found.loc[host, "held_up_by"] == plan.blockers["vm"][0]


def test_hosts_without_a_plan_come_first_with_what_to_do(fleet):
    found = drain_each(fleet, base=BASE, deadline_s=60.0)
    assert found.hosts["host"].tolist() == ["b", "c", "a", "d"]
    assert found.hosts["in_time"].tolist() == [False, False, True, True]
    assert found.hosts["empty_s"].iloc[:2].tolist() == [math.inf, math.inf]
    assert found.hosts["why"][0] == "gpu cannot migrate (GPU passthrough); shut it down, or leave that host out"
    for host, why in found.hosts[["host", "why"]].values.tolist()[:2]:
        with pytest.raises(Conflict) as caught:
            drain(fleet, [host], base=BASE)
        assert str(caught.value).endswith(why)
    assert found.text.startswith("2 of 4 hosts can be emptied within 60 s, each while all others stay open; a takes")
    assert found.late == "drain: b, c miss the deadline or have no plan; the table says why, and what to do"
    assert found.to_dict()["hosts"][0]["empty_s"] is None


def test_an_empty_host_is_empty_at_once(fleet):
    row = drain_each(fleet, ["d"], base=BASE, deadline_s=0.0).hosts.iloc[0]
    assert (row["in_time"], row["machines"], row["empty_s"], row["why"]) == (True, 0, 0.0, "nothing has to leave")


def test_the_search_goes_where_it_can_decide():
    fleet = example(hosts=8, machines=80, seed=3)
    first = drain_each(fleet, ["h3"], base=BASE, improve_s=0.0).hosts.iloc[0]
    better = drain_each(fleet, ["h3"], base=BASE, deadline_s=first["lower_bound_s"], improve_s=2.0).hosts.iloc[0]
    assert better["empty_s"] < first["empty_s"]
    late = drain_each(fleet, ["h3"], base=BASE, deadline_s=1.0, improve_s=600.0).hosts.iloc[0]
    assert late["empty_s"] == first["empty_s"]
    assert "; no plan is shorter than " in late["why"]


@pytest.mark.parametrize(
    ("hosts", "options", "said"),
    [
        (["z"], {}, "empty: 'z' is not among the 4 hosts"),
        ([], {}, "empty: no host was given"),
        ("all", {"deadline_s": math.nan}, "deadline_s: nan is out of range"),
        ("all", {"improve_s": math.inf}, "improve_s: inf is out of range"),
    ],
)
def test_wrong_questions(fleet, hosts, options, said):
    with pytest.raises(UsageError) as caught:
        drain_each(fleet, hosts, base=BASE, **options)
    assert said in str(caught.value)


def test_the_table_as_text_and_as_html(fleet):
    found = drain_each(fleet, base=BASE, deadline_s=60.0)
    lines = repr(found).splitlines()
    assert lines[2].split() == ["host", "in", "time", "memory", "empty", "in", "held", "up", "by", "why"]
    assert lines[3].split()[:5] == ["b", "no", "4", "GiB", "never"]
    assert '<td style="text-align:left">gpu cannot migrate (GPU passthrough)' in found._repr_html_()


def test_a_host_without_room_elsewhere_needs_another_host():
    found = drain_each(Inventory.read([{"vm": "web", "host": "a", "memory": "4 GiB"}], HOSTS[:1]), base=BASE)
    assert found.hosts["why"][0].endswith("; a spare host with 4 GiB would do")
