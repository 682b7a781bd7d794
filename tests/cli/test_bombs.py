"""Small files that would fill the memory, never end, or run something: each is one line, in 2 GiB of memory."""

import io
import json
import os
import pickle
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from migkit.errors import TraceError, UsageError
from migkit.harness.runs import experiment
from migkit.scenario.form import schema
from migkit.traces import io as traces
from migkit.traces import unpacked
from migkit.traces.schema import SAMPLE_COLUMNS
from tests.conftest import in_two_gib
from tests.traces.conftest import _make_trace

MOST_S = 20  # of processor time, with the start of Python on a machine that others use; a bomb takes minutes
READ = "import sys, migkit.traces as traces; traces.read(sys.argv[1])"
LOAD = "import sys; from migkit.calibrate import store; store.load(sys.argv[1])"
CAUGHT = """
from migkit.errors import MigkitError
try:
    {}
except MigkitError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def refused(done, *words):
    assert done.returncode == 2, (done.returncode, done.stderr[-2000:])
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 700
    assert done.stderr[:-1].isprintable()
    for word in words:
        assert word in done.stderr


def code(reader):
    first, _, call = reader.rpartition("; ")
    return first + CAUGHT.format(call)


GUEST = '[guest]\nmemory = "1 GiB"\n'
SCENARIOS = {
    "dotted key": "a" + ".a" * 100_000 + " = 1\n",
    "dotted key of quoted parts": '","' + '.","' * 100_000 + " = 1\n",
    "dotted key in an inline table": 'guest = {a = """x"""", ' + "a." * 50_000 + "a = 1}\n",
    "dotted header": "[" + "a." * 100_000 + "a]\n",
    "nested lists": GUEST + "x = " + "[" * 100_000 + "]" * 100_000,
    "nested tables": "guest = " + "{a = " * 50_000,
    "digits": GUEST + "[policy]\nsettings = { steps = " + "9" * 4000 + " }\n",
    "more digits": GUEST + "[policy]\nsettings = { steps = " + "9" * 5000 + " }\n",
    "hexadecimal digits": GUEST + "[policy]\nname = 0x" + "f" * 100_000 + "\n",
    "a number of text": '[guest]\nmemory = "' + "9" * 4000 + ' B"\n',
    "spaces": '[guest]\nmemory = "1' + " " * 300_000 + 'x"\n',
    "a huge name": '[guest]\nmemory = "1 GiB"\n"' + "x" * 300_000 + '" = 1\n',
    "control characters": '[guest]\nmemory = "1 \\u001b[2JGiB"\n',
    "not a number": GUEST + "[[guest.dirty]]\nregion = '1 MiB'\nwrites_per_s = nan\n",
    "infinity": GUEST + "[[guest.dirty]]\nregion = '1 MiB'\nwrites_per_s = inf\n",
    "a rule": GUEST + "[policy]\nrule = 'import os'\n",
    "a rule of its own": GUEST + "[rule]\nsource = 'import os'\n",
    "a profile without end": '[guest]\nprofile = "/dev/zero"\n',
    "a profile that nobody writes": '[guest]\nprofile = "pipe"\n',
    "a profile in a loop": '[guest]\nprofile = "loop"\n',
    "a profile of holes": '[guest]\nprofile = "holes"\n',
    "a profile that is pickled": '[guest]\nprofile = "pickled"\n',
    "a profile with a rule": '[guest]\nprofile = "ruled"\n',
    "a profile that is nested": '[guest]\nprofile = "nested"\n',
    "a profile at no path": '[guest]\nprofile = "a\\u0000b"\n',
}


class Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    with (folder / "holes").open("wb") as stream:
        stream.truncate(1 << 40)
    (folder / "pickled").write_bytes(pickle.dumps(Code()))
    record = {"windows_s": [1], "unique_pages": [1], "memory_bytes": 1 << 20, "page_bytes": 4096}
    (folder / "ruled").write_text(json.dumps(record | {"rule": "import os"}))
    (folder / "nested").write_text("[" * 1_000_000)
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_that_is_a_bomb_is_one_line(folder, name):
    (folder / "bomb.toml").write_text(SCENARIOS[name])
    refused(in_two_gib("predict", "bomb.toml", cwd=folder))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "loop", "holes", "pickled", "."])
def test_what_is_no_regular_file_of_a_sane_size_is_one_line(folder, name):
    refused(in_two_gib("predict", name, cwd=folder), "scenario")
    refused(in_two_gib("restore", name, cwd=folder), "checkpoint")
    refused(in_two_gib(name, code=code(READ), cwd=folder), "trace")
    refused(in_two_gib(name, code=code(LOAD), cwd=folder), "calibration")
    assert not (folder / "ran").exists()


def test_a_grid_of_many_points_is_refused_before_it_is_listed(tmp_path):
    lists = "\n".join(f'k{n} = ["1 MB/s", "2 MB/s", "3 MB/s", "4 MB/s", "5 MB/s"]' for n in range(13))
    (tmp_path / "grid.toml").write_text(f"[grid.policy]\n{lists}\n")
    done = in_two_gib(*("capture", "--memory", "1 MiB", "--grid", tmp_path / "grid.toml", "-o", tmp_path / "runs"))
    refused(done, "1220703125 runs are asked for; at most 100000 can be")
    with pytest.raises(UsageError, match="200000 runs are asked for"):
        experiment.ordered([experiment.Point(1, {})] * 2, 100_000, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "--memory", "9" * 4000 + " B"),
        ("predict", "--memory", "9" * 4000),
        ("predict", "--memory", "1 GiB", "--seed", "9" * 4000),
        ("predict", "--memory", "1 GiB", "--capacity-writes-per-s", "9" * 4000),
        ("predict", "--memory", "1 GiB", "--settings", f"a = {'9' * 5000}"),
        ("capture", "--memory", "1 MiB", "--seed", "9" * 4000),
        ("capture", "--memory", "1 MiB", "--repeat", "9" * 4000),
        ("capture", "--memory", "1 MiB", "--moves", "9" * 4000),
        ("restore", "x", "--run", "9" * 4000 + " s"),
    ],
)
def test_numbers_of_many_digits_are_one_line(arguments):
    done = in_two_gib(*arguments)
    assert done.returncode == 2, done.stderr[-500:]
    assert done.stderr.count("\n") == 1


# -- traces ----------------------------------------------------------------------------------


def sealed(table, text='{"schema_version": 1}', **options):
    """Return a Parquet file as a trace is sealed."""
    import hashlib

    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd", store_schema=False, **options) as writer:
        writer.write_table(table, row_group_size=1 << 30)
        writer.add_key_value_metadata({"migkit": text, "migkit.sha256": "0" * 64})
    raw = bytearray(buffer.getvalue())
    at = raw.rindex(traces._MARK) + len(traces._MARK)
    raw[at : at + 64] = hashlib.sha256(raw).hexdigest().encode()
    return bytes(raw)


def samples(rows, phase="done"):
    columns = {name: pa.array(np.zeros(rows, kind)) for name, kind in SAMPLE_COLUMNS.items() if name != "phase"}
    codes = pa.array(np.zeros(rows, np.int32))
    columns["phase"] = pa.DictionaryArray.from_arrays(codes, pa.array([phase])).cast(pa.string())
    return pa.table({name: columns[name] for name in SAMPLE_COLUMNS})


TRACES = {
    "rows": (lambda: sealed(samples(20_000_000)), "20000000 rows; a trace has at most"),
    "a long text": (lambda: sealed(samples(1, "x" * (200 << 20))), "unpacks to more than 128 MiB"),
    "a long text often": (lambda: sealed(samples(2000, "x" * 100_000)), "trace"),
    "other columns": (lambda: sealed(pa.table({"a": np.zeros(30_000_000)})), "trace"),
    "a manifest": (lambda: sealed(samples(1), " " * (17 << 20)), "a manifest of"),
    "a nested manifest": (lambda: sealed(samples(1), "[" * 1_000_000), "nested too deeply"),
    "digits": (lambda: sealed(samples(1), '{"schema_version": ' + "9" * 4000 + "}"), "a number of 4000 digits"),
}


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_that_is_a_bomb_is_one_line(tmp_path, name):
    build, words = TRACES[name]
    (tmp_path / "bomb.parquet").write_bytes(build())
    refused(in_two_gib(tmp_path / "bomb.parquet", code=code(READ)), words)


def test_a_page_that_unpacks_to_more_than_the_metadata_say_is_refused():
    raw = bytearray(sealed(samples(100), use_dictionary=False))
    metadata = pq.ParquetFile(io.BytesIO(raw)).metadata
    unpacked.check_pages(bytes(raw), metadata)
    at = metadata.row_group(0).column(0).data_page_offset
    length, _, _ = unpacked._header(bytes(raw), at, len(raw))
    assert length > 0
    forged = bytes(raw[:at]) + b"\x15\x00\x15" + b"\xfe\xff\xff\xff\x0f" + b"\x15\x02\x00" + bytes(raw[at:])
    with pytest.raises(TraceError, match="unpacks to more than 128 MiB"):
        unpacked.check_pages(forged, metadata)


def test_a_trace_that_brings_a_rule_is_refused():
    trace = _make_trace()
    raw = traces._encode(trace)
    text = json.loads(pq.ParquetFile(io.BytesIO(raw)).metadata.metadata[b"migkit"])
    assert traces.decode(traces._seal(trace.samples, json.dumps(text))) == trace
    with pytest.raises(TraceError, match="'rule' is no key of a manifest"):
        traces.decode(traces._seal(trace.samples, json.dumps(text | {"rule": {"source": "import os"}})))


def test_dotted_floats_in_lists_are_no_key(tmp_path):
    steps = ", ".join('["0.5 s", 1.0]' for _ in range(5000))
    assert len(schema.read_text(f"{GUEST}[link]\nsteps = [{steps}]  # a.b.c\n")["link"]["steps"]) == 5000


def test_time_does_not_grow_with_the_square_of_a_string():
    start_s = time.process_time()
    with pytest.raises(UsageError):
        schema.read_text('a = "' + '\\"' * 500_000)
    assert time.process_time() - start_s < MOST_S
