import json
import math

import pytest

from migkit.errors import TraceError, UsageError
from migkit.scenario import profile
from migkit.scenario.form import schema

GOOD = {
    "windows_s": [0.1, 0.3, 1.0, 3.0, 10.0],
    "unique_pages": [1000 * -math.expm1(-2 * t) for t in (0.1, 0.3, 1.0, 3.0, 10.0)],
    "memory_bytes": 2**24,
    "page_bytes": 4096,
}


def write(folder, record):
    path = folder / "redis.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return path


def test_a_profile_becomes_classes_of_its_curve(tmp_path):
    write(tmp_path, GOOD)
    path = tmp_path / "scenario.toml"
    path.write_text('[guest]\nprofile = "redis.json"\n')
    guest = schema.load(path).guest
    assert guest.memory_bytes == 2**24
    total = sum(c.region_pages * -math.expm1(-c.writes_per_s / c.region_pages) for c in guest.dirty)
    assert total == pytest.approx(GOOD["unique_pages"][2], rel=0.01)


def test_memory_beside_a_profile_is_the_guest_s(tmp_path):
    write(tmp_path, GOOD)
    guest = schema.from_mapping({"guest": {"profile": "redis.json", "memory": "1 GiB"}}, tmp_path).guest
    assert guest.memory_bytes == 2**30


def test_larger_pages_are_counted_as_4_kib_ones(tmp_path):
    small = profile.load(write(tmp_path, GOOD))
    large = profile.load(
        write(tmp_path, GOOD | {"page_bytes": 8192, "unique_pages": [n / 2 for n in GOOD["unique_pages"]]})
    )
    assert large.classes() == small.classes()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "profile {path}: not a JSON file; write it with migkit dirty"),
        ("[]", "profile {path}: not a table; write it with migkit dirty"),
        ({"windows_s": []}, "profile {path}: unique_pages is missing; write it with migkit dirty"),
        (GOOD | {"windows_s": 3}, "profile {path}: windows_s is not a list of numbers; write it with migkit dirty"),
        (
            GOOD | {"windows_s": [True]},
            "profile {path}: windows_s is not a list of numbers; write it with migkit dirty",
        ),
        (GOOD | {"windows_s": [1.0]}, "profile {path}: 1 windows and 5 counts; give as many of both"),
        (
            GOOD | {"windows_s": [0.1, 0.1, 1, 2, 3]},
            "profile {path}: windows_s is not ascending from above 0 s; measure it again",
        ),
        (
            GOOD | {"unique_pages": [1, 2, 3, 4, 5000]},
            "profile {path}: unique_pages is outside 0 to 4096 pages, the memory; measure it again",
        ),
        (
            GOOD | {"memory_bytes": -1},
            "profile {path}: memory_bytes -1 is not a whole number above 0; write it with migkit dirty",
        ),
        (
            GOOD | {"windows_s": [5e-324, 0.3, 1, 3, 10]},
            "profile {path}: windows_s 4.94066e-324 to 10 s is outside 1e-09 to 1e+10 s; measure it again",
        ),
        (
            GOOD | {"unique_pages": [1, 2, 3, 2.5, 4]},
            "profile {path}: unique_pages falls from 3 to 2.5 at 3 s, though a longer window sees what a shorter one "
            "does; measure it again",
        ),
        *(
            (
                GOOD | {key: value},
                f"profile {{path}}: {key} {said}; write it with migkit dirty",
            )
            for key, value, said in (
                ("program", "a\x1b[2J", "'a\\x1b[2J' is not a printable line"),
                ("kind", "trace", "'trace' is not 'dirty profile'"),
                ("pinned_bytes", {"a": 1}, "{{'a': 1}} is not a number"),
                ("tracker", 3, "3 is not a printable line"),
                ("cost", {"stopped_s": [1]}, "{{'stopped_s': [1]}} is not a table of numbers and printable lines"),
                ("repeats", {"at": [["x"]]}, "{{'at': [['x']]}} is not a table of lists of lists of numbers"),
            )
        ),
        (GOOD | {"page_bytes": 512}, "profile {path}: page_bytes 512 is not a multiple of 4096; measure it again"),
    ],
)
def test_bad_profiles(tmp_path, record, message):
    path = write(tmp_path, record)
    with pytest.raises(TraceError) as caught:
        profile.load(path)
    assert str(caught.value) == message.format(path=path)


def test_a_profile_that_is_not_there(tmp_path):
    with pytest.raises(TraceError, match="cannot be read \\(No such file or directory\\); check the path"):
        profile.load(tmp_path / "absent.json")


def test_a_profile_beside_classes_is_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        schema.from_mapping({"guest": {"profile": "redis.json", "dirty": []}}, tmp_path)
    assert str(caught.value) == "guest.profile: guest.dirty is given as well; leave out one of the two"
