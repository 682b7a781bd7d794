"""Inventories from everywhere: read alike, and refused in one clear line for each thing that is wrong."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import migkit
from migkit.calibrate.guest import readings
from migkit.errors import UsageError
from migkit.planning.inventory import Inventory, InventoryError
from migkit.planning.inventory.nouns import fields
from migkit.scenario import DirtyClass
from migkit.scenario.form.declaration import declared

GIB = 2**30
VMS = [
    {"vm": "web", "host": "a", "memory": "4 GiB", "dirty_1_region": "64 MiB", "dirty_1_writes_per_s": 500},
    {"vm": "db", "host": "b", "memory": "16 GiB", "priority": 2, "downtime_limit": "500 ms", "pinned": "GPU"},
]
HOSTS = [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s", "processors": 32} for name in "ab"]


def read(vms=VMS, hosts=HOSTS, **options):
    return Inventory.read(vms, hosts, **options)


def test_rows_frames_and_files_say_the_same(tmp_path):
    want = read()
    frame = pd.DataFrame(VMS)
    frame.to_csv(tmp_path / "vms.csv", index=False)
    frame.to_csv(tmp_path / "semicolons.csv", index=False, sep=";")
    frame.to_parquet(tmp_path / "vms.parquet")
    (tmp_path / "vms.json").write_text(json.dumps(VMS))
    sources = [
        frame,
        pa.Table.from_pandas(frame),
        *(tmp_path / name for name in sorted(p.name for p in tmp_path.iterdir())),
    ]
    assert len(sources) == 6
    for source in sources:
        pd.testing.assert_frame_equal(read(source).vms, want.vms)


def test_names_with_units_hold_numbers_and_others_text():
    vms = [{"VM": "x", "Node": "a", "memory_bytes": 4 * GIB, "vCPUs": 2}]
    hosts = [{"hostname": "a", "memory_bytes": 8 * GIB, "link_bytes_per_s": 1e9}]
    found = read(vms, hosts)
    assert found.vms.memory_bytes[0] == 4 * GIB
    assert found.vms.processors[0] == 2
    assert found.hosts.link_bytes_per_s[0] == 1e9


@pytest.mark.parametrize("name", ["Memory (GB)", "memory [GB]", "mem(GB)"])
def test_a_unit_behind_the_name_of_a_column(name):
    vms = [{"VM Name": "x", "Host": "a", name: "4.096", "disk (shared)": "9", "Local disk [GiB]": 1.5}]
    hosts = [{"host": "a", "memory (GiB)": 8, "Bandwidth (GbE)": 25}]
    found = read(vms, hosts)
    assert found.vms.memory_bytes[0] == 4.096e9
    assert found.vms.local_disk_bytes[0] == 1.5 * GIB
    assert found.hosts.memory_bytes[0] == 8 * GIB
    assert found.hosts.link_bytes_per_s[0] == 25e9 / 8
    assert "vms: ignored disk (shared)" in found.notes
    assert f"vms: read VM Name as vm, {name} as memory, Local disk [GiB] as local_disk" in found.notes


def test_what_stands_behind_the_name_of_a_column_may_be_no_unit():
    with pytest.raises(
        UsageError, match=r"the column memory is missing \(the table has vm, host, memory \(assigned\)\)"
    ):
        read([{"vm": "x", "host": "a", "memory (assigned)": "4 GiB"}])
    both = read([VMS[0] | {"memory (assigned)": "9 GiB"}])
    assert both.vms.memory_bytes[0] == 4 * GIB


def test_rvtools_is_known_by_its_columns():
    vms = pd.DataFrame(
        {
            "VM": ["x", "off", "template"],
            "Powerstate": ["poweredOn", "poweredOff", "poweredOn"],
            "Template": [False, False, True],
            "CPUs": [2, 2, 2],
            "Memory": [4096, 8192, 1024],
            "Host": ["esx1"] * 3,
            "Annotation": ["", "", ""],
        }
    )
    hosts = pd.DataFrame({"Host": ["esx1"], "Cluster": ["c"], "# VMs": [3], "# Memory": [65536], "# Cores": [32]})
    found = read(vms, hosts.assign(link="25 Gbit/s"))
    assert found.vms.vm.tolist() == ["x"]
    assert found.vms.memory_bytes[0] == 4 * GIB
    assert found.hosts.memory_bytes[0] == 64 * GIB
    assert found.hosts.cluster[0] == "c"
    assert found.notes[:2] == (
        "vms: read as RVTools vInfo, 1 row; 2 rows of machines that do not run were left out: they take no memory "
        "and do not move, so that hosts still hold them",
        "hosts: cluster limits where machines may go",
    )


def test_kubectl_openstack_and_virsh_are_known_by_their_keys():
    vmi = {
        "kind": "List",
        "items": [
            {
                "metadata": {"namespace": "prod", "name": "x"},
                "spec": {"domain": {"memory": {"guest": "4Gi"}, "cpu": {"cores": 2}}},
                "status": {"nodeName": "n1", "phase": "Running"},
            }
        ],
    }
    nodes = {
        "items": [{"metadata": {"name": "n1"}, "status": {"allocatable": {"memory": "65536Ki", "cpu": "3500m"}}}]
    }
    found = read([{**vmi["items"][0]}], [{**nodes["items"][0], "link": "10 Gbit/s"}] * 1 + [
        {"metadata": {"name": "n2"}, "status": {"allocatable": {"memory": "64Gi", "cpu": "8"}}, "link": "10 Gbit/s"}
    ])  # fmt: skip
    assert found.vms.vm[0] == "prod/x"
    assert found.vms.memory_bytes[0] == 4 * GIB
    assert found.hosts.processors.tolist() == [3.5, 8]
    servers = [{"Name": "x", "Status": "ACTIVE", "OS-EXT-SRV-ATTR:host": "n", "Flavor": {"ram": 2048, "vcpus": 1}}]
    hypervisors = [{"Hypervisor Hostname": "n", "Memory MB": 65536, "vCPUs": 32, "link": "10 Gbit/s"}]
    assert read(servers, hypervisors).vms.memory_bytes[0] == 2 * GIB
    domains = [{"name": "x", "host": "n", "balloon.maximum": 2097152, "vcpu.current": 2}]
    assert read(domains, hypervisors).vms.memory_bytes[0] == 2 * GIB


def test_a_map_says_where_columns_are_and_in_which_unit():
    vms = [{"Machine": "x", "Where": "a", "RAM": 4096}]
    where = {"vm": "Machine", "host": "Where", "memory": "RAM [MiB]"}
    assert read(vms, vm_columns=where).vms.memory_bytes[0] == 4 * GIB
    with pytest.raises(UsageError, match="there is no column 'Rom'; the table has Machine, Where, RAM"):
        read(vms, vm_columns=where | {"memory": "Rom"})
    with pytest.raises(UsageError, match="'MEGA' is no unit of a column; use one of B, KiB"):
        read(vms, vm_columns=where | {"memory": "RAM [MEGA]"})
    with pytest.raises(UsageError, match="'size' is no column of ours"):
        read(vms, vm_columns={"size": "RAM"})


COMMAS = [  # separator, cells of one column, and GiB or what is said of the row that cannot be read
    (";", ["7,5", "16,0"], [7.5, 16]),
    (";", ["1.024,0", "7,5"], [1024, 7.5]),
    (";", ["7.5", "16"], [7.5, 16]),
    (";", ["0,500", "1,125"], [0.5, 1.125]),
    (";", ["1,024", "7,5"], [1.024, 7.5]),
    (";", ["1,024", "8"], "row 1, RAM: '1,024' may be 1.024 or 1024"),
    (";", ["8", "1.024"], "row 2, RAM: '1.024' may be 1.024 or 1024"),
    (",", ["1,024", "16"], [1024, 16]),
    (",", ["1,024.5", "1.25"], [1024.5, 1.25]),
    (",", ["16", "7,5"], "row 2, RAM: '7,5' has a comma that need not be one between thousands"),
    (",", ["7,5 GiB", "16"], "row 1"),
]


@pytest.mark.parametrize(("separator", "cells", "want"), COMMAS)
def test_a_comma_stands_before_decimals_or_between_thousands_by_its_column(tmp_path, separator, cells, want):
    rows = [f'x{number}{separator}a{separator}"{cell}"' for number, cell in enumerate(cells)]
    (tmp_path / "vms.csv").write_text("\n".join([separator.join(["VM", "Host", "RAM"]), *rows]))
    hosts = [{"host": "a", "memory": "2 TiB", "link": "10 Gbit/s"}]
    where = {"memory": "RAM [GiB]"}
    if isinstance(want, str):
        with pytest.raises(InventoryError) as caught:
            read(tmp_path / "vms.csv", hosts, vm_columns=where)
        assert want in str(caught.value)
    else:
        found = read(tmp_path / "vms.csv", hosts, vm_columns=where)
        assert found.vms.memory_bytes.tolist() == pytest.approx([value * GIB for value in want], abs=4096)


def test_a_decimal_comma_before_a_unit(tmp_path):
    (tmp_path / "vms.csv").write_text("vm;host;memory\nx;a;7,5 GiB\n")
    assert read(tmp_path / "vms.csv").vms.memory_bytes.tolist() == [7.5 * GIB]


def test_a_reading_is_the_middle_guest_of_its_family():
    vms = [{"vm": "x", "host": "a", "memory": "8 GiB", "dirty_rate": "200 MiB/s", "dirty_window": "1 s"}]
    found = read(vms).vms.iloc[0]
    family = readings.family(readings.of_text("200 MiB/s in 1 s"), 8 * GIB)
    middle = family[2].guest.dirty[0]
    assert found.dirty_1_region_bytes == pytest.approx(middle.region_bytes, rel=1e-3)
    assert found.dirty_1_writes_per_s == pytest.approx(middle.writes_per_s, rel=1e-3)
    pages = found.dirty_1_region_bytes / 4096
    assert pages * -math.expm1(-found.dirty_1_writes_per_s / pages) == pytest.approx(51200, rel=1e-6)


def test_profiles_and_workloads_become_classes(tmp_path):
    profile = {"windows_s": [0.1, 1.0], "unique_pages": [100.0, 900.0], "memory_bytes": GIB, "page_bytes": 4096}
    (tmp_path / "p.json").write_text(json.dumps(profile))
    (tmp_path / "vms.csv").write_text("vm,host,memory,profile,workload\nx,a,2 GiB,p.json,\ny,a,2 GiB,,memcached\n")
    found = read(tmp_path / "vms.csv").vms
    assert found.dirty_1_region_bytes[0] > 0
    regions = [name for name in found if name.endswith("_region_bytes")]
    assert found.loc[1, regions].sum() <= 2 * GIB
    assert migkit.predict_many(found[["memory_bytes", *(n for n in found if n.startswith("dirty_"))]]).shape[0] == 2


def test_machines_that_say_nothing_are_idle_and_that_is_said():
    assert read().notes == ("1 machine says nothing of how memory is dirtied: taken as idle",)
    assert read(workload="memcached").notes == ()


WRONG = [
    ({"memory": 64}, '"64" has no unit'),
    ({"memory": "64"}, '"64" has no unit'),
    ({"memory": "nan"}, "is not a size"),
    ({"memory": None}, "missing"),
    ({"memory": "-1 GiB"}, "is negative"),
    ({"memory": "64 Gbit"}, "is not a unit of size"),
    ({"memory": "0 B"}, "0 B is out of range"),
    ({"memory": "4 TiB"}, "4 TiB is more than any host has; at most 64 GiB"),
    ({"processors": 64}, "64 is more than any host has; at most 32"),
    ({"processors": "many"}, "'many' is not a number"),
    ({"vm": None}, "missing; give a name"),
    ({"vm": "web"}, "web is in row 1 as well; keep one of them"),
    ({"host": "c"}, "c is not among the hosts"),
    ({"host": ""}, "missing; give a name"),
    ({"dirty_rate": "20 MB/s"}, "dirty_window: missing"),
    ({"dirty_rate": "20 MB", "dirty_window": "1 s"}, "is not a unit of rate"),
    ({"dirty_rate": "20 GB/s", "dirty_window": "10 s"}, "pages in the window are more than the memory has"),
    ({"dirty_rate": "1 MB/s", "dirty_window": "1"}, '"1" has no unit'),
    ({"dirty_rate": "1 MB/s", "dirty_window": "0 s"}, "0 s is out of range"),
    ({"workload": "memcachd"}, 'did you mean "memcached"?'),
    (
        {"workload": "idle", "dirty_rate": "1 MB/s", "dirty_window": "1 s"},
        "workload and dirty_rate; give one of them",
    ),
    ({"profile": "nowhere.json"}, "cannot be read"),
    ({"dirty_1_region": "8 GiB", "dirty_1_writes_per_s": 5}, "dirty regions and zero pages have 8 GiB"),
    ({"dirty_1_region": "1 MiB", "dirty_1_writes_per_s": None}, "say how often the region is written"),
    ({"dirty_1_region": "1 MiB", "dirty_1_writes_per_s": -1}, "-1 is out of range"),
    (
        {"dirty_1_region": "1 MiB", "dirty_1_writes_per_s": 1, "dirty_1_kind": "zigzag"},
        "use one of random, sweep, growth",
    ),
    ({"downtime_limit": "0 s"}, "0 s is out of range"),
    ({"downtime_limit": "300"}, '"300" has no unit'),
    ({"local_disk": "-3 GB"}, "is negative"),
    ({"priority": "high"}, "'high' is not a number"),
    ({"memory": float("inf")}, 'inf" is not a size'),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_machine_is_told_with_its_row(change, said):
    rows = [VMS[0], {"vm": "x", "host": "a", "memory": "4 GiB"} | change]
    with pytest.raises(InventoryError) as caught:
        read(rows)
    assert said in str(caught.value)
    assert {one.row for one in caught.value.problems} == {2}
    assert "\n" not in str(caught.value)


WRONG_HOSTS = [
    ({"link": "0 Gbit/s"}, "0 bit/s is out of range; it must be at least 8 bit/s"),
    ({"link": "1e-300 bit/s"}, "is out of range; it must be at least 8 bit/s"),
    ({"link": "10"}, '"10" has no unit'),
    ({"link": "10 GiB"}, "is not a unit of rate"),
    ({"link": None}, "missing"),
    ({"memory": None}, "missing"),
    ({"processors": 0}, "0 is out of range"),
    ({"host": "a"}, "a is in row 1 as well"),
]


@pytest.mark.parametrize(("change", "said"), WRONG_HOSTS, ids=[said for _, said in WRONG_HOSTS])
def test_a_wrong_host_is_told_with_its_row(change, said):
    with pytest.raises(InventoryError, match=r"hosts row 3") as caught:
        read(hosts=[*HOSTS, HOSTS[0] | {"host": "c"} | change])
    assert said in str(caught.value)


def test_all_wrong_rows_are_told_at_once():
    rows = [{"vm": f"v{k}", "host": "a", "memory": k} for k in range(50)]
    with pytest.raises(InventoryError, match="50 things are wrong") as caught:
        read(rows)
    assert [one.row for one in caught.value.problems] == list(range(1, 51))


PLAIN = "vm,host,memory\nx,a,4 GiB\ny,b,2 GiB\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace("\n", ",,,\n"),
        PLAIN.replace("GiB\n", "GiB,,\n"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "sep=;\r\n" + PLAIN.replace(",", ";"),
        "SEP=,\n" + PLAIN,
        "\ufeff" + PLAIN.replace(",", "\t"),
    ],
    ids=["an empty column", "empty columns", "empty cells", "CRLF", "CR", "sep=;", "sep=,", "BOM and tabs"],
)
def test_tables_as_office_programs_write_them(tmp_path, text):
    (tmp_path / "vms.csv").write_text(text, newline="")
    found = read(tmp_path / "vms.csv")
    assert found.vms[["vm", "host", "memory_bytes"]].values.tolist() == [["x", "a", 4 << 30], ["y", "b", 2 << 30]]
    assert not [note for note in found.notes if "ignored" in note]


def test_a_parquet_file_whose_footer_is_damaged(tmp_path):
    pd.DataFrame({"vm": ["x"], "host": ["a"], "memory": ["4 GiB"]}).to_parquet(tmp_path / "vms")
    raw = (tmp_path / "vms").read_bytes()
    (tmp_path / "vms").write_bytes(raw[:200] + bytes(100) + raw[300:])
    with pytest.raises(UsageError, match=r"vms: is not valid \(.*\); give CSV, Parquet or JSON$"):
        read(tmp_path / "vms")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vm": ["y"]}, "['y'] is no text; write one text or number"),
        ({"pinned": ["no"]}, "['no'] is no text; write one text or number"),
        ({"vm": b"y"}, "b'y' is no text; write one text or number"),
        ({"vm": "y" * 1001}, "a text of 1,001 characters; at most 1,000 characters"),
        ({"priority": "-inf"}, "-inf is out of range; it must be any number that is finite"),
    ],
)
def test_cells_that_no_table_of_text_holds(change, said):
    with pytest.raises(InventoryError) as caught:
        read([VMS[0] | change])
    assert said in str(caught.value)


def test_names_of_columns_are_listed_in_short():
    long = read([VMS[0] | {"x" * 10**5: "1"} | {f"own{k}": "1" for k in range(99)}])
    note = next(note for note in long.notes if "ignored" in note)
    assert len(note) < 500
    assert note.endswith("and 70 more")


@pytest.mark.parametrize(
    ("vms", "said"),
    [
        (5, "int is no table"),
        ([], "there are no rows"),
        ("nowhere.csv", "cannot be read"),
        (
            [{"vm": "x", "host": "a"}],
            "the column memory is missing (the table has vm, host); add what is missing, or say where it is: ",
        ),
        ([VMS[0] | {"memry": 5}], "the column 'memry' is not known; did you mean \"memory\"?"),
        ([VMS[0] | {"memory_bytes": 5}], "'memory_bytes' and 'memory' say the same; drop one"),
        ([3], "is no list of records"),
    ],
)
def test_what_is_no_table_of_machines(vms, said):
    with pytest.raises(UsageError) as caught:
        read(vms)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vm,vm\nx,y\n", "the column 'vm' occurs twice"),
        ("vm,host,memory\nx,a\n", "row 1: it has 2 cells, the header has 3"),
        ("vm,host,memory\nx,a,4 GiB,5\n", "row 1: it has 4 cells, the header has 3"),
        ("vm,host,,memory\nx,a,5,4 GiB\n", "row 1: '5' stands in column 3, which has no name"),
        ('vm,host,memory\nx,a,4 GiB\n"y,a,4 GiB\n', "line 3: unexpected end of data"),
        ("vm,host,memory\nx\0,a,4 GiB\n", "characters of code 0, so that it is no text"),
        ("[{]", "is not valid"),
        ("", "there are no rows"),
    ],
)
def test_files_that_are_no_tables(tmp_path, text, said):
    (tmp_path / "vms").write_text(text)
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "vms")
    assert said in str(caught.value)
    (tmp_path / "vms").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is no UTF-8 text"):
        read(tmp_path / "vms")


def test_somebody_s_own_columns_are_told_and_left_out():
    found = read([VMS[0] | {"owner": "me"}])
    assert "owner" not in found.vms
    assert "vms: ignored owner" in found.notes


def test_what_is_guessed_is_told_and_a_group_is_no_anti_affinity():
    vms = [{"name": "x", "node": "a", "ram": "4 GiB", "group": "prod"}]
    hosts = [{"name": "a", "memory": "8 GiB", "link": "10 Gbit/s", "network": "dmz", "datastore": "s1"}]
    found = read(vms, hosts)
    assert found.notes[:4] == (
        "vms: ignored group",
        "vms: read name as vm, node as host, ram as memory",
        "hosts: ignored network",
        "hosts: read name as host, datastore as pool; pool limits where machines may go",
    )
    assert found.vms.anti_affinity[0] is None
    assert found.hosts.pool[0] == "s1"


def test_a_name_beside_a_host_is_refused():
    with pytest.raises(UsageError, match="hosts: 'name' and 'host' say the same; drop one"):
        read(hosts=[HOSTS[0] | {"name": "z"}])


def test_pinned_takes_a_reason_or_yes_and_no():
    cells = ["no", False, "FALSE", 0, 0.0, "", None, "GPU passthrough", "yes", True, 1]
    rows = [{"vm": f"x{number}", "host": "a", "memory": "1 GiB", "pinned": cell} for number, cell in enumerate(cells)]
    assert read(rows).vms.pinned.tolist() == [None] * 7 + ["GPU passthrough"] + ["marked as pinned"] * 3


def documented(table):
    """Return the rows that the guide has for the columns of a table, as they follow from the fields."""
    page_class = [field for field in declared(DirtyClass) if field.is_column] if table == "vms" else []
    rows = [(field.key, field) for field in fields(table)]
    rows += [(f"dirty_1_{field.key}", field) for field in page_class]
    for name, field in rows:
        needed = "yes" if field.is_required and field not in page_class else ""
        yield f"| `{name}` | {needed} | {field.kind} | {field.rule.meaning.replace('``', '`')} |"


@pytest.mark.parametrize("table", ["vms", "hosts"])
def test_the_guide_has_every_column(table):
    guide = (Path(migkit.__file__).parents[1] / ".docs" / "planning.md").read_text().splitlines()
    at = guide.index(next(documented(table)))
    rows = list(itertools.takewhile(lambda line: line.startswith("|"), guide[at:]))
    assert rows == list(documented(table))


def test_memory_is_rounded_up_to_whole_pages():
    found = read([{"vm": "x", "host": "a", "memory_bytes": 4096 * 10 + 1}])
    assert found.vms.memory_bytes[0] == 4096 * 11
    assert np.isnan(found.vms.downtime_limit_s[0])


def test_a_number_that_is_too_large_is_told_the_largest():
    with pytest.raises(InventoryError) as caught:
        read([VMS[0] | {"memory": "1e30 GiB"}])
    assert caught.value.problems[0].allowed.startswith("it must be at most ")


def test_several_columns_are_missing_in_one_sentence():
    with pytest.raises(UsageError, match=r"the columns vm and host are missing \(the table has label, memory\); add"):
        read([{"label": "x", "memory": "4 GiB"}])
    with pytest.raises(UsageError, match="the columns vm, host and memory are missing"):
        read([{"label": "x"}])
