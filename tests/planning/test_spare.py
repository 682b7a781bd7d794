"""A cluster too full for maintenance: the smallest spare host is named, and does."""

import re

import pytest

from migkit import Inventory
from migkit.planning.drain import Conflict, drain
from tests.planning.fleets import UNCAPPED

FULL = [{"vm": f"{host}{k}", "host": host, "memory": "24 GiB"} for host in "abc" for k in range(4)]


def hosts(*more):
    rows = [{"host": host, "memory": "100 GiB", "link": "10 Gbit/s", "cluster": "x"} for host in "abc"]
    return rows + [
        {"host": f"s{k}", "memory": f"{size} GiB", "link": "10 Gbit/s", "cluster": "x"} for k, size in enumerate(more)
    ]


def empty(rows, servers, **asked):
    return drain(Inventory.read(rows, servers), ["a", "b", "c"], base=UNCAPPED, rounds=2, rolling=True, **asked)


@pytest.mark.parametrize("return_home", [False, True])
def test_the_spare_host_is_named_and_is_the_least_that_does(return_home):
    with pytest.raises(Conflict, match="a spare host with 96 GiB would do, or empty fewer hosts at once") as error:
        empty(FULL, hosts(), return_home=return_home)
    size = int(re.search(r"with (\d+) GiB", str(error.value))[1])
    plan = empty(FULL, hosts(size), return_home=return_home)
    assert set(plan.hosts.host) == {"a", "b", "c"}
    with pytest.raises(Conflict):
        empty(FULL, hosts(size - 1), return_home=return_home)


def test_room_that_is_there_already_is_taken_off():
    rows = FULL[:-2]
    with pytest.raises(Conflict, match="a spare host with 48 GiB would do"):
        empty(rows, hosts())


def test_processors_count_where_hosts_have_them():
    rows = [row | {"processors": 8} for row in FULL]
    servers = [row | {"processors": 40} for row in hosts()]
    with pytest.raises(Conflict, match="a spare host with 96 GiB and 32 processors would do"):
        empty(rows, servers)


def test_what_no_host_cures_names_none():
    rows = [{"vm": f"v{k}", "host": host, "memory": "1 GiB", "anti_affinity": "g"} for k, host in enumerate("aab")]
    with pytest.raises(Conflict) as error:
        drain(Inventory.read(rows, hosts()[:2]), ["a"], base=UNCAPPED, rounds=1)
    assert "spare" not in str(error.value)
