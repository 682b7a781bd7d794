import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, predict, predict_many
from migkit.errors import UsageError
from migkit.models.bulk import frames, many, rows
from migkit.models.bulk.many import RESULTS

PAGE = 4096


def machines(count, seed=0):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(100, 20_000, count) * PAGE, rng.integers(100, 4000, count) * PAGE
    second[rng.random(count) < 0.2] = 0
    zero = rng.integers(0, 5000, count) * PAGE
    return pd.DataFrame(
        {
            "memory_bytes": first + second + zero + rng.integers(0, 50_000, count) * PAGE,
            "zero_bytes": zero,
            "dirty_1_region_bytes": first,
            "dirty_1_writes_per_s": rng.uniform(0, 3000, count),
            "dirty_1_kind": rng.choice(["random", "sweep"], count),
            "dirty_2_region_bytes": second,
            "dirty_2_writes_per_s": rng.uniform(0, 20_000, count),
            "bandwidth_bytes_per_s": rng.uniform(2e7, 1.25e9, count),
            "rtt_s": rng.choice([0.0, 2e-4, 0.05], count),
            "streams": rng.integers(1, 4, count),
            "tls": rng.random(count) < 0.3,
            "max_bandwidth_bytes_per_s": rng.uniform(2e7, 3e8, count),
            "downtime_limit_s": rng.uniform(0.02, 0.5, count),
            "policy": rng.choice(["qemu", "nova", "xen"], count),
            "strategy": rng.choice(["precopy", "stopcopy", "postcopy", "hybrid"], count),
        }
    )


def one_by_one(frame):
    table = frames.read(frame)
    return [predict(rows.scenario_of(table, None, row)) for row in range(len(frame))]


@pytest.mark.parametrize("count", [40, 600])
def test_many_equal_one_to_the_last_bit(count):
    frame = machines(count)
    results = predict_many(frame)
    for row, one in zip(results.head(150).itertuples(), one_by_one(frame.head(150)), strict=True):
        for name in RESULTS:
            assert getattr(row, name) == getattr(one, name), (row.Index, name)


def test_what_does_not_converge_never_ends():
    frame = pd.DataFrame({"memory_bytes": [2**30], "dirty_1_region_bytes": [2**29], "dirty_1_writes_per_s": [1e6]})
    result = predict_many(frame)
    assert result["verdict"].tolist() == ["does_not_converge"]
    assert math.isinf(result["total_time_s"][0])


def test_the_index_and_the_columns_kept_come_back():
    frame = machines(5).set_index(pd.Index(list("abcde"))).assign(name=list("vwxyz"))
    result = predict_many(frame, keep=["name"])
    assert result.index.tolist() == list("abcde")
    assert list(result.columns) == ["name", *RESULTS]


def test_arrow_in_arrow_out():
    frame = machines(30)
    result = predict_many(pa.table(frame).append_column("name", [[str(n) for n in range(30)]]), keep=["name"])
    assert isinstance(result, pa.Table)
    assert result.column("name").to_pylist() == [str(n) for n in range(30)]
    assert result.column("verdict").to_pylist() == predict_many(frame)["verdict"].tolist()
    assert result.column("total_time_s").to_pylist() == predict_many(frame)["total_time_s"].tolist()


def test_anything_with_an_arrow_stream_is_a_frame():
    class Stream:
        def __init__(self, table):
            self.table = table

        def __arrow_c_stream__(self, requested_schema=None):
            return self.table.__arrow_c_stream__(requested_schema)

    table = pa.table(machines(3))
    assert predict_many(Stream(table)).equals(predict_many(table))


def test_what_has_no_column_comes_from_the_base():
    base = Scenario(
        guest=Guest(
            memory_bytes=2**28,
            dirty=(DirtyClass(region_bytes=2**26, writes_per_s=4000, phases=((1.0, 1.0), (1.0, 0.0))),),
        ),
        link=Link(bandwidth_bytes_per_s=1e8, steps=((1.0, 1.0), (0.5, 0.0))),
        host=Host(setup_s=0.1, failures_per_h=0.5),
        policy=Policy(name="nova", settings=(("steps", 5.0),)),
        strategy=Strategy(name="hybrid", postcopy_after_s=1.0),
    )
    result = predict_many(pd.DataFrame({"dirty_1_writes_per_s": [4000.0, 8000.0]}), base)
    one = predict(base)
    assert [getattr(result.iloc[0], name) for name in RESULTS] == [getattr(one, name) for name in RESULTS]
    assert result["risk"][1] != result["risk"][0]


def test_a_policy_column_brings_its_own_limits():
    base = Scenario(guest=Guest(memory_bytes=2**28), policy=Policy(max_bandwidth_bytes_per_s=1e6))
    result = predict_many(pd.DataFrame({"policy": ["qemu", "ovirt"]}), base)
    expected = [predict(guest=base.guest, policy=Policy(name=name)).total_time_s for name in ("qemu", "ovirt")]
    assert result["total_time_s"].tolist() == expected


def test_every_column_that_is_a_number_reaches_the_kernels_or_the_path():
    fields = {name for name, column in frames.known_columns().items() if column.table != "dirty"}
    records = {f.name for cls in (Guest, Link, Host, Policy, Strategy) for f in dataclasses.fields(cls)}
    assert fields - {"policy", "strategy"} == records - {"name", "dirty", "devices", "steps", "settings"}
    assert len(fields) == sum(len(dataclasses.fields(c)) for c in (Guest, Link, Host, Policy, Strategy)) - 4


NUMBER = "is not a number; give a number in the unit that the name says"
BAD = {
    "nan": ("memory_bytes", math.nan, f"guest.memory_bytes: nan {NUMBER}"),
    "negative": ("zero_bytes", -4096, "guest.zero_bytes: -4 KiB is too small; it must be at least 0 B"),
    "fraction": (
        "memory_bytes",
        2**30 + 0.5,
        "guest.memory_bytes: 1073741824.5 is not a whole number; give one without a fraction",
    ),
    "unaligned": (
        "memory_bytes",
        2**30 + 1,
        "guest.memory_bytes: 1073741825 B is no whole number of pages; use a multiple of 4 KiB",
    ),
    "cap of zero": (
        "max_bandwidth_bytes_per_s",
        0.0,
        "policy.max_bandwidth_bytes_per_s: 0 bit/s is too small; it must be above 0 bit/s; "
        "no limit is written unlimited, in Python inf",
    ),
    "endless limit": (
        "downtime_limit_s",
        math.inf,
        "policy.downtime_limit_s: infinity is too large; give a finite number",
    ),
    "policy": ("policy", "qemuu", None),
    "strategy": (
        "strategy",
        "copy",
        "strategy.name: 'copy' is not known; use one of precopy, stopcopy, postcopy, hybrid",
    ),
    "kind": ("dirty_1_kind", "both", "guest.dirty.kind: 'both' is not known; use one of random, sweep, growth"),
    "missing rate": ("dirty_1_writes_per_s", math.nan, f"guest.dirty.writes_per_s: nan {NUMBER}"),
    "too big": ("dirty_1_region_bytes", 2**40, None),
    "streams": ("streams", 0, "strategy.streams: 0 is too small; it must be at least 1"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_wrong_row_is_named_with_its_reason(case):
    column, value, message = BAD[case]
    frame = machines(8)
    frame[column] = frame[column].astype(object if isinstance(value, str) else float)
    frame.loc[5, column] = value
    with pytest.raises(rows.RowsError) as caught:
        predict_many(frame)
    assert list(caught.value.reasons) == [5]
    assert str(caught.value).startswith("predict_many: 1 of 8 row is wrong: row 5: ")
    if message:
        assert caught.value.reasons[5] == message
    skipped = predict_many(frame, on_error="skip")
    assert skipped.index.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert skipped.attrs["skipped"] == caught.value.reasons


def test_all_wrong_rows_are_reported_at_once():
    frame = machines(20)
    frame.loc[::2, "max_bandwidth_bytes_per_s"] = -1.0
    with pytest.raises(rows.RowsError) as caught:
        predict_many(frame)
    assert list(caught.value.reasons) == list(range(0, 20, 2))
    assert str(caught.value).endswith("; and 5 more")
    assert len(str(caught.value).splitlines()) == 1


def test_a_contradiction_of_a_whole_group_is_found_in_every_row():
    frame = machines(10).assign(storage_bytes=[0, 2**30] * 5, storage_dirty_bytes_per_s=1e6)
    with pytest.raises(rows.RowsError) as caught:
        predict_many(frame)
    assert list(caught.value.reasons) == [0, 2, 4, 6, 8]


def test_one_wrong_row_in_a_million():
    frame = pd.DataFrame({"memory_bytes": np.full(1_000_000, 2**28)})
    frame.loc[314_159, "memory_bytes"] = 5
    with pytest.raises(UsageError) as caught:
        predict_many(frame)
    assert str(caught.value) == (
        "predict_many: 1 of 1000000 row is wrong: row 314159: "
        "guest.memory_bytes: 5 B is too small; it must be at least 4 KiB"
    )


def test_skipped_rows_of_an_arrow_table_are_in_its_metadata():
    result = predict_many(pa.table({"memory_bytes": [2**28, 1]}), on_error="skip")
    assert result.num_rows == 1
    assert list(json.loads(result.schema.metadata[b"skipped"])) == ["1"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], "predict_many: list is not a frame; give a pandas, Polars or Arrow table"),
        (None, "predict_many: NoneType is not a frame; give a pandas, Polars or Arrow table"),
        (pd.DataFrame({"memory_bytes": []}), "predict_many: the frame has no rows; give at least one"),
        (
            pd.DataFrame({"zero_bytes": [0]}),
            "predict_many: the column memory_bytes is missing; it is required unless a base is given",
        ),
        (
            pd.DataFrame({"memory_bytes": [2**28], "rtt_ms": [1.0]}),
            'predict_many: the column rtt_ms is not known; did you mean "rtt_s"?',
        ),
        (
            pd.DataFrame({"memory_bytes": [2**28], "owner": ["x"]}),
            "predict_many: the column owner is not known; drop it, or name it in keep",
        ),
        (
            pd.DataFrame({"memory_bytes": ["1 GiB"]}),
            "predict_many: the column memory_bytes does not hold numbers; give them in the unit of its name",
        ),
        (
            pd.DataFrame({"memory_bytes": [2**28], "policy": [1]}),
            "predict_many: the column policy does not hold text; give names",
        ),
        (
            pd.DataFrame([[2**28, 2**28]], columns=["memory_bytes", "memory_bytes"]),
            "predict_many: a column name occurs twice; rename or drop one",
        ),
        (
            pa.table({"memory_bytes": ["1 GiB"]}),
            "predict_many: the column memory_bytes does not hold numbers; give them in the unit of its name",
        ),
    ],
)
def test_a_wrong_frame_is_one_line(frame, message):
    with pytest.raises(UsageError) as caught:
        predict_many(frame)
    assert str(caught.value) == message


def test_wrong_arguments():
    frame = pd.DataFrame({"memory_bytes": [2**28]})
    with pytest.raises(UsageError, match=r"^on_error: 'ignore' is not known; use one of raise, skip$"):
        predict_many(frame, on_error="ignore")
    with pytest.raises(UsageError, match=r"^predict_many: the column name to keep is missing; leave it out of keep$"):
        predict_many(frame, keep=["name"])


numbers = st.sampled_from([0.0, 1.0, -1.0, 0.5, 4096.0, 5000.0, 2**24, 2**28, 1e6, 2500.0, math.nan, math.inf])
VALUES = {
    name: (st.sampled_from(["random", "zstd", "hybrid", "qemu", "precopy", "none"]) if column.is_text else numbers)
    for name, column in frames.known_columns().items()
}


@settings(max_examples=300, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_the_rows_found_wrong_are_those_that_are_no_scenario(data):
    names = data.draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=4))
    frame = pd.DataFrame({name: data.draw(st.lists(VALUES[name], min_size=4, max_size=4)) for name in names} | {
        "memory_bytes": data.draw(st.lists(st.sampled_from([2.0**28, 2.0**30]), min_size=4, max_size=4))
    })  # fmt: skip
    table = frames.read(frame)
    wrong = {}
    for row in range(4):
        try:
            rows.scenario_of(table, None, row)
        except UsageError as error:
            wrong[row] = str(error)
    assert many.wrong_rows(table, None) == wrong
