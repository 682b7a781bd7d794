"""The same readings as people hand them on: quoted, numbered, coloured, behind loggers' prefixes, in lists."""

import html
import json
import quopri

import pytest

from migkit.errors import TraceError
from migkit.importers import read

BLOCK = (
    "Migration status: active\ntotal time: 4321 ms\nexpected downtime: 1475 ms\nsetup: 3 ms\n"
    "transferred ram: 600000 kbytes\nthroughput: 900.10 mbps\nremaining ram: 376892 kbytes\n"
    "total ram: 2114632 kbytes\nnormal: 149000 pages\ndirty sync count: 3\npage size: 4 kbytes\n"
).splitlines()
ANSWER = json.dumps({"status": "active", "total-time": 4321, "ram": {"remaining": 376892 * 1024, "transferred": 7}})


def prefixed(prefix):
    return "".join(prefix(number) + line + "\n" for number, line in enumerate(BLOCK, 7))


@pytest.mark.parametrize(
    "text",
    [
        prefixed(lambda _: "> > "),
        prefixed(lambda _: "&gt; "),
        prefixed(lambda number: f"{number:6d}\t"),
        prefixed(lambda number: f"{number}: "),
        prefixed(lambda number: f"logs/mig.log:{number}:"),
        prefixed(lambda _: "2024-05-01 10:00:00,123 - INFO - "),
        prefixed(lambda _: "2024-05-01 10:00:00,123 - tests.live - DEBUG - "),
        prefixed(lambda _: "10:00:00 [INFO] "),
        prefixed(lambda _: "2024-05-01 10:00:00,123 avocado.test virt_vm          L0123 DEBUG| "),
        prefixed(lambda _: "INFO:root:"),
        prefixed(lambda _: "\x1b[32m\x1b[0m"),
        "\n".join(BLOCK).replace(" ", "\u00a0") + "\n",
        "".join(f"\x1b[1m{line.replace(': ', ':' + chr(27) + '[0m ')}\r\n" for line in BLOCK),
        'ok: [host1] => {\n  "result.stdout_lines": ' + json.dumps(BLOCK, indent=4) + "\n}\n",
    ],
)
def test_what_stands_around_lines_changes_nothing(text):
    (log,) = read(text.encode())
    row = log.frame.iloc[0]
    assert (row["t_s"], row["remaining_bytes"], row["normal_pages"]) == (4.321, 376892 * 1024, 149000)
    assert (row["expected_downtime_s"], row["setup_s"], log.meta["skipped_lines"]) == (1.475, 0.003, 0)


@pytest.mark.parametrize(
    "text",
    [
        html.escape(ANSWER) + "\n",
        json.dumps({"__REALTIME_TIMESTAMP": "1714557600123456", "MESSAGE": list(ANSWER.encode() + b"\x1b[0m")})
        + "\n",
    ],
)
def test_objects_with_entities_and_as_bytes(text):
    (log,) = read(text)
    assert log.frame["remaining_bytes"].tolist() == [376892 * 1024]


def test_a_mail_that_broke_and_quoted_its_lines():
    ram = {"total": 8599183360, "dirty-sync-count": 4, "remaining": 30695424, "transferred": 3100448901, "normal": 7}
    answer = json.dumps({"return": {"status": "active", "total-time": 1543124, "ram": ram | {"mbps": 830.63}}})
    broken = quopri.encodestring(f"  cannot parse json {answer}: lexical error\n".encode()).decode()
    assert broken.count("=\n") > 1
    wrapped = ">> -{}\n>> +" + answer.replace(', "', ', \n>> "') + "\n"
    for text in (broken, wrapped):
        (log,) = read(text)
        assert (log.frame["remaining_bytes"].tolist(), log.frame["t_s"].tolist()) == ([30695424], [1543.124])


def test_the_clock_of_the_journal_is_microseconds_in_a_text():
    (log,) = read(json.dumps({"__REALTIME_TIMESTAMP": "1714557604444000", "MESSAGE": ANSWER}) + "\n")
    assert log.meta["started"] == "2024-05-01T10:00:00"


def test_a_text_that_begins_late_keeps_the_fields_before_the_first_sure_one():
    (log,) = read("\n".join(BLOCK[1:]))
    assert log.frame["t_s"].tolist() == [4.321]
    assert log.frame["expected_downtime_s"].tolist() == [1.475]


def test_numbers_that_do_not_grow_are_no_numbers_of_lines():
    with pytest.raises(TraceError):
        read("".join(f"7: {line}\n" for line in BLOCK))


def test_a_column_that_grows_and_hours_are_no_numbers_of_lines():
    rows = "".join(f"{second}\t{4096 * (30 - second)}\t{10 * second}\t7\n" for second in range(1, 25))
    (log,) = read("time\tram.remaining\tram.transferred\tnormal\n" + rows)
    assert log.frame["remaining_bytes"].tolist()[:2] == [4096 * 29, 4096 * 28]
    job = "Job type:         Unbounded\nMemory remaining: {} GiB\n"
    (log,) = read(
        "".join(f"{hour}:00:00 {line}\n" for hour in (10, 11, 12) for line in job.format(hour).splitlines())
    )
    assert log.frame["logged_s"].tolist() == [10 * 3600, 11 * 3600, 12 * 3600]


def test_a_reason_that_names_a_level_is_no_prefix():
    (log,) = read("Migration status: failed (ERROR: no route to host)\ntotal time: 5 ms\n")
    assert log.meta["texts"]["error-desc"] == "ERROR: no route to host"


def test_a_total_time_alone_is_no_migration():
    with pytest.raises(TraceError, match='it begins "total time: 5 ms"'):
        read("total time: 5 ms\ndowntime: 1 ms\n")
