import dataclasses
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from migkit.errors import UsageError
from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
from migkit.scenario.form import keys, schema

ISSUE_FILE = """
[guest]
memory = "512 MiB"
zero = "192 MiB"
capacity_writes_per_s = 2000000
[[guest.dirty]]
region = "64 MiB"
writes_per_s = 10000
kind = "random"
phases = [["4 s", 1.0], ["4 s", 0.0]]
phase_offset = "1.5 s"
[link]
bandwidth = "10 Gbit/s"
rtt = "0.2 ms"
[policy]
name = "qemu"
max_bandwidth = "125 MB/s"
downtime_limit = "300 ms"
[strategy]
name = "hybrid"
auto_converge = false
postcopy_after = "2 s"
"""

ISSUE_SCENARIO = Scenario(
    guest=Guest(
        memory_bytes=512 << 20,
        zero_bytes=192 << 20,
        capacity_writes_per_s=2e6,
        dirty=(
            DirtyClass(
                region_bytes=64 << 20, writes_per_s=10_000, phases=((4.0, 1.0), (4.0, 0.0)), phase_offset_s=1.5
            ),
        ),
    ),
    link=Link(bandwidth_bytes_per_s=1.25e9, rtt_s=0.0002),
    policy=Policy(name="qemu", max_bandwidth_bytes_per_s=125e6, downtime_limit_s=0.3),
    strategy=Strategy(name="hybrid", postcopy_after_s=2.0),
)


def test_the_documented_file_reads_as_documented(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(ISSUE_FILE)
    assert schema.load(path) == ISSUE_SCENARIO


def test_a_file_may_hold_keys_of_another_strategy(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(ISSUE_FILE.replace('"hybrid"', '"precopy"'))
    scenario = schema.load(path)
    plain = dataclasses.replace(scenario, strategy=Strategy())
    assert scenario.strategy.postcopy_after_s == 2.0
    assert predict(scenario).total_time_s == predict(plain).total_time_s


def test_json_has_the_same_keys(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(schema.read_text(ISSUE_FILE) | {"schema_version": 1}))
    assert schema.load(path) == ISSUE_SCENARIO


def test_unlimited_is_infinite():
    scenario = schema.from_mapping({"guest": {"memory": "1 GiB"}, "policy": {"max_bandwidth": "unlimited"}})
    assert math.isinf(scenario.policy.max_bandwidth_bytes_per_s)


def test_a_record_survives_json():
    assert schema.from_record(json.loads(json.dumps(schema.to_record(ISSUE_SCENARIO)))) == ISSUE_SCENARIO


sizes = st.integers(1, 1 << 20).map(lambda n: n * 4096)
phases = st.lists(st.tuples(st.floats(1e-3, 100), st.floats(0, 10)), max_size=3).map(tuple)
classes = st.builds(
    DirtyClass,
    region_bytes=sizes,
    writes_per_s=st.floats(0, 1e7),
    kind=st.sampled_from(("random", "sweep")),
    phases=phases,
)
scenarios = st.builds(
    Scenario,
    guest=st.builds(
        lambda dirty, zero, rest: Guest(
            memory_bytes=sum(c.region_bytes for c in dirty) + zero + rest, zero_bytes=zero, dirty=tuple(dirty)
        ),
        st.lists(classes, max_size=3),
        st.integers(0, 1000).map(lambda n: n * 4096),
        sizes,
    ),
    link=st.builds(Link, bandwidth_bytes_per_s=st.floats(1, 1e12) | st.just(math.inf), rtt_s=st.floats(0, 1)),
    host=st.builds(Host, setup_s=st.floats(0, 1), source_free_cores=st.floats(0.5, 64) | st.just(math.inf)),
    strategy=st.builds(Strategy, streams=st.integers(1, 256), tls=st.booleans()),
)


@given(scenarios)
def test_every_scenario_survives_its_record(scenario):
    assert schema.from_record(json.loads(json.dumps(schema.to_record(scenario)))) == scenario


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(
    st.sampled_from(("guest", "link", "host", "policy", "strategy", "schema_version")),
    json_values
    | st.dictionaries(st.sampled_from(("memory", "zero", "dirty", "name", "rtt", "steps", "streams")), json_values),
)


def outcome(call, value):
    try:
        call(value)
    except UsageError as error:
        return str(error)
    return "ok"


@given(tables)
def test_any_tables_are_a_scenario_or_a_one_line_error(mapping):
    assert len(outcome(schema.from_mapping, mapping).splitlines()) == 1
    assert len(outcome(schema.from_record, mapping).splitlines()) == 1


def test_the_table_of_keys_names_every_field():
    rows = {row.key: row for row in keys.document()}
    assert rows["guest.memory"].default == "required"
    assert rows["guest.memory"].type == "size"
    assert rows["guest.dirty.kind"].allowed == "random, sweep, growth"
    assert rows["link.bandwidth"].default == "unlimited"
    assert rows["guest.tracking"].default == "4 KiB"
    assert rows["strategy.postcopy_after"].type == "time"
    assert all(row.meaning for row in rows.values())


def test_a_table_has_one_row_for_each_key_that_a_file_accepts():
    names = [row.key for row in keys.document()]
    assert len(names) == len(set(names))
    assert {"schema_version", "guest.profile", "guest.dirty.region", "policy.name"} <= set(names)
