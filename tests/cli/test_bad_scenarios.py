# ruff: noqa: E501
"""Wrong scenarios: each is one line on stderr, nothing on stdout, and its exit code."""

import sys

import pytest

from migkit.cli import main
from migkit.scenario.policy import presets

SIZES = "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"
RATES = "bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s, MB/s, GB/s, KiB/s, MiB/s or GiB/s"
TIMES = "ns, us, ms, s, min or h"
GUEST = '[guest]\nmemory = "1 GiB"\n'
DIRTY = GUEST + '[[guest.dirty]]\nregion = "64 MiB"\nwrites_per_s = 1000\n'

WRONG = [
    # what other tools would take
    (GUEST + "[policy]\nmax_bandwidth = 0", 'policy.max_bandwidth: 0 is no rate; write "unlimited" for no limit'),
    (GUEST + '[policy]\nmax_bandwidth = "0"', "policy.max_bandwidth: '0' is no rate; write \"unlimited\" for no limit"),
    (GUEST + '[policy]\ntime_limit = "none"', "policy.time_limit: 'none' is no time; write \"unlimited\" for no limit"),
    (GUEST + '[policy]\ndowntime_limit = "unlimited"', 'policy.downtime_limit: "unlimited" is not allowed here; it must be at least 0 s, at most 33.3 min'),
    (GUEST + "[policy]\ndowntime_steps = 5", 'policy.downtime_steps: not a known key; did you mean "settings.steps"?'),
    (GUEST + "[policy]\nauto_converge = true", 'policy.auto_converge: not a known key; did you mean "strategy.auto_converge"?'),
    (GUEST + '[guest]\nbandwidth = "1 Gbit/s"'.replace("[guest]\n", ""), 'guest.bandwidth: not a known key; did you mean "link.bandwidth"?'),
    (GUEST + '[policy]\nname = "nova"\nsettings = { downtime_steps = 5 }', 'policy.settings.downtime_steps: not a setting of nova; did you mean "steps"?'),
    # files
    ("= guest", "scenario {path}: not a TOML file (Invalid statement (at line 1, column 1))"),
    ("", "guest: missing; it is required"),
    ("guest = 3", "guest: 3 is not a table; write [guest] and its keys below it"),
    ("schema_version = 2\n" + GUEST, "schema_version: 2 is not known; this migkit reads version 1; upgrade migkit or rewrite the file"),
    ('schema_version = "1"\n' + GUEST, "schema_version: '1' is not known; this migkit reads version 1; upgrade migkit or rewrite the file"),
    # keys
    ("[gest]\n", 'gest: not a known key; did you mean "guest"?'),
    ('[guest]\nmemry = "1 GiB"', 'guest.memry: not a known key; did you mean "memory"?'),
    ('[guest]\nmemory_bytes = "1 GiB"', 'guest.memory_bytes: not a known key; did you mean "memory"?'),
    ("[guest]\nzero = \"0 B\"", "guest.memory: missing; it is required"),
    (GUEST + '[policy]\ndowntimelimit = "1 s"', 'policy.downtimelimit: not a known key; did you mean "downtime_limit"?'),
    (DIRTY + 'rate = 5', 'guest.dirty[0].rate: not a known key; did you mean "rewrite"?'),
    (GUEST + "[[guest.dirty]]\nwrites_per_s = 1000", "guest.dirty[0].region: missing; it is required"),
    (GUEST + '[guest.dirty]\nregion = "1 MiB"', "guest.dirty: {{'region': '1 MiB'}} is not a list; write [[guest.dirty]] for each"),
    # types and units
    ("[guest]\nmemory = 1073741824", f"guest.memory: 1073741824 has no unit; write it as text with one of {SIZES}"),
    ('[guest]\nmemory = "1024"', f'guest.memory: "1024" has no unit; write it with one of {SIZES}'),
    ('[guest]\nmemory = "4 Gb"', f'guest.memory: "Gb" is not a unit of size; use one of {SIZES}; sizes are in bytes, and 8 bit are 1 B'),
    ('[guest]\nmemory = "-1 GiB"', 'guest.memory: "-1 GiB" is negative; it must be 0 or more'),
    ("[guest]\nmemory = true", f"guest.memory: True has no unit; write it as text with one of {SIZES}"),
    ('[guest]\nmemory = "lots"', f'guest.memory: "lots" is not a size; write a number and one of {SIZES}'),
    (GUEST + '[link]\nbandwidth = "10 Gbps"', f'link.bandwidth: "Gbps" is not a unit of rate; use one of {RATES} (did you mean "Gbit/s"?)'),
    (GUEST + '[link]\nrtt = "5"', f'link.rtt: "5" has no unit; write it with one of {TIMES}'),
    (GUEST + '[link]\nrtt = "unlimited"', f'link.rtt: "unlimited" is not a time; write a number and one of {TIMES}'),
    (DIRTY.replace("1000", '"many"'), "guest.dirty[0].writes_per_s: 'many' is not a number"),
    (DIRTY.replace("1000", "nan"), "guest.dirty[0].writes_per_s: nan is not a number; give a number in the unit that the name says"),
    (GUEST + "[strategy]\nstreams = 2.5", "strategy.streams: 2.5 is not a whole number"),
    (GUEST + '[strategy]\ntls = "yes"', "strategy.tls: 'yes' is not true or false"),
    (GUEST + "[strategy]\nname = 5", "strategy.name: 5 is not text"),
    (GUEST + '[link]\nsteps = "4 s"', "link.steps: '4 s' is not a list"),
    (GUEST + '[link]\nsteps = [["4 s"]]', "link.steps[0]: ['4 s'] is not a step; write it as [\"4 s\", 1.0]"),
    (DIRTY + "phases = [[4, 1.0]]", f"guest.dirty[0].phases[0]: 4 has no unit; write it as text with one of {TIMES}"),
    # ranges
    ('[guest]\nmemory = "1 kB"', "guest.memory: 1000 B is too small; it must be at least 4 KiB"),
    ('[guest]\nmemory = "1 MB"', "guest.memory: 1000000 B is no whole number of pages; use a multiple of 4 KiB"),
    (DIRTY.replace("1000", "-1"), "guest.dirty[0].writes_per_s: -1 is too small; it must be at least 0"),
    (DIRTY + 'phases = [["0 s", 1.0]]', "guest.dirty[0].phases: (0 s, 1) is not a step; the time must be above 0 s and the share at least 0, both at most 1e+18"),
    (GUEST + '[link]\nbandwidth = "0 bit/s"', "link.bandwidth: 0 bit/s is too small; it must be above 0 bit/s; no limit is written unlimited, in Python inf"),
    (GUEST + "[link]\nloss = 1.5", "link.loss: 1.5 is too large; it must be at most 0.99"),
    (GUEST + '[link]\nsteps = [["1 s", 2.0]]', "link.steps: the share 2 is too large; it must be at most 1; set the bandwidth to the most that the path gives"),
    (GUEST + '[policy]\nmax_bandwidth = "0 B/s"', "policy.max_bandwidth: 0 bit/s is too small; it must be above 0 bit/s; no limit is written unlimited, in Python inf"),
    (GUEST + '[policy]\ndowntime_limit = "1 h"', "policy.downtime_limit: 60 min is too large; it must be at most 33.3 min"),
    (GUEST + '[policy]\ntime_limit = "0 s"', "policy.time_limit: 0 s is too small; it must be above 0 s; no limit is written unlimited, in Python inf"),
    (GUEST + "[strategy]\nstreams = 0", "strategy.streams: 0 is too small; it must be at least 1"),
    (GUEST + '[guest]\ntracking = "1 MiB"'.replace("[guest]\n", ""), 'guest.tracking: "1 MiB" is not known; use one of 4 KiB, 64 KiB, 2 MiB'),
    (GUEST + "compression_ratio = 0.5", "guest.compression_ratio: 0.5 is too small; it must be at least 1"),
    (GUEST + "capacity_writes_per_s = inf", "guest.capacity_writes_per_s: infinity is too large; give a finite number"),
    # names
    (GUEST + '[policy]\nname = "vmotion"', "policy.name: 'vmotion' is not known; use one of {policies}"),
    (GUEST + '[policy]\nname = "nova"\n[policy.settings]\nstepps = 1', 'policy.settings.stepps: not a setting of nova; did you mean "steps"?'),
    (GUEST + '[strategy]\nname = "copy"', "strategy.name: 'copy' is not known; use one of precopy, stopcopy, postcopy, hybrid"),
    (DIRTY + 'kind = "zipf"', "guest.dirty[0].kind: 'zipf' is not known; use one of random, sweep, growth"),
    (GUEST + 'fill = "text"', "guest.fill: 'text' is not known; use one of random, constant, zero"),
    (GUEST + '[strategy]\ncompression = "gzip"', "strategy.compression: 'gzip' is not known; use one of none, zlib, zstd, lz4"),
    # contradictions
    (
        DIRTY.replace('memory = "1 GiB"', 'memory = "128 MiB"\nzero = "65 MiB"'),
        "guest: dirty regions (64 MiB) and zero pages (65 MiB) exceed the memory (128 MiB) by 1 MiB; shrink a region or add memory",
    ),
    (
        DIRTY.replace('"1 GiB"', '"1 GiB"\ncapacity_writes_per_s = 500'),
        "guest.capacity_writes_per_s: 500 is below the demand of its classes, 1000 writes/s; raise it or leave it out",
    ),
    (
        GUEST + '[link]\nbandwidth = "1 Gbit/s"\nbackground = "1 Gbit/s"',
        "link.background: 1 Gbit/s leaves nothing of the bandwidth (1 Gbit/s); lower it or raise the bandwidth",
    ),
    (
        GUEST + '[strategy]\nstorage_dirty = "1 MB/s"',
        "strategy.storage_dirty: no storage is copied along; give storage_bytes or leave it out",
    ),
    (
        GUEST + '[strategy]\nxbzrle = true\ncompression = "zstd"',
        'strategy.xbzrle: differences are not compressed; set compression to "none", not "zstd", or xbzrle to false',
    ),
    (GUEST + '[strategy]\nxbzrle_cache = "1 kB"', "strategy.xbzrle_cache: 1000 B is too small; it must be at least 4 KiB"),
    (DIRTY + '[[guest.dirty]]\nregion = "1 GiB"\nwrites_per_s = 1', "guest: dirty regions (1.06 GiB) and zero pages (0 B) exceed the memory (1 GiB) by 64 MiB; shrink a region or add memory"),
    (DIRTY + '[[guest.dirty]]\nregion = "4 KiB"\nwrites_per_s = 1\n' * 48, "guest.dirty: 49 page classes are too many; at most 48 fit, put like ones together"),
    (GUEST + 'profile = "absent.json"', "profile {folder}/absent.json: cannot be read (No such file or directory); check the path"),
    (DIRTY.replace("[[", 'profile = "x"\n[['), "guest.profile: guest.dirty is given as well; leave out one of the two"),
]  # fmt: skip

FLAGS = [
    ([], 'scenario: none was given; name a file, or use flags such as --guest-memory "1 GiB"'),
    (["absent.toml"], "scenario absent.toml: cannot be read (No such file or directory); check the path"),
    (
        ["--memory", "1GiB", "--memry", "2"],
        "No such option '--memry'. (Did you mean one of: '--guest-memory', '--memory', '--zero'?)",
    ),
    (["--memory", "5"], f'guest.memory: "5" has no unit; write it with one of {SIZES}'),
    (["--memory", "1 GiB", "--streams", "two"], "strategy.streams: 'two' is not a whole number"),
    (
        ["--memory", "1 GiB", "--dirty", "64 MiB"],
        "guest.dirty: '64 MiB' is not written as in a file, as in region = \"64 MiB\", writes_per_s = 10000",
    ),
    (["--memory", "1 GiB", "--dirty", 'region = "64 MiB"'], "guest.dirty[0].writes_per_s: missing; it is required"),
    (
        ["--memory", "1 GiB", "--format", "xml"],
        "Invalid value for '--format': 'xml' is not one of 'table', 'json', 'csv', 'parquet'.",
    ),
]


def run(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["migkit", "predict", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("migkit: ")
    assert err.count("\n") == 1
    return caught.value.code, err.removeprefix("migkit: ").rstrip("\n")


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_file_is_one_line_and_exit_2(text, message, tmp_path, monkeypatch, capsys):
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    code, said = run([str(path)], monkeypatch, capsys)
    assert code == 2
    policies = ", ".join(preset.name for preset in presets())
    assert said == (message.format(path=path, folder=tmp_path, policies=policies) if "{" in message else message)


@pytest.mark.parametrize(("arguments", "message"), FLAGS)
def test_wrong_flags_are_one_line_and_exit_2(arguments, message, monkeypatch, capsys):
    code, said = run(arguments, monkeypatch, capsys)
    assert code == 2
    assert said == message.format()


def test_a_binary_file_is_no_scenario(tmp_path, monkeypatch, capsys):
    path = tmp_path / "scenario.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert run([str(path)], monkeypatch, capsys) == (
        2,
        f"scenario {path}: not a text file; write TOML in UTF-8",
    )


def test_a_wrong_json_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "scenario.json"
    path.write_text("[1]")
    code, said = run([str(path)], monkeypatch, capsys)
    assert (code, said) == (
        2,
        f"scenario {path}: not a table; write an object with guest, link, policy and strategy",
    )


def test_a_key_that_stands_twice_in_json(tmp_path, monkeypatch, capsys):
    path = tmp_path / "scenario.json"
    path.write_text('{"guest": {"memory": "1 GiB", "memory": "2 GiB"}}')
    assert run([str(path)], monkeypatch, capsys) == (
        2,
        f'scenario {path}: not a JSON file ("memory" is given twice in one object; keep one of them)',
    )


def test_the_table_is_long_enough():
    assert len(WRONG) + len(FLAGS) >= 60
