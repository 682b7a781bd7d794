"""Numbers that no computation survives are refused where they come in, each in one line."""

import pandas as pd
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, predict
from migkit.errors import UsageError
from migkit.models.bulk.many import predict_many


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Guest(memory_bytes=2**70), "guest.memory_bytes"),
        (lambda: DirtyClass(region_bytes=4096, writes_per_s=1e300), "guest.dirty.writes_per_s"),
        (lambda: DirtyClass(region_bytes=4096, writes_per_s=1.0, phases=((1e-300, 1.0),)), "guest.dirty.phases"),
        (lambda: Link(bandwidth_bytes_per_s=1e-300), "link.bandwidth_bytes_per_s"),
        (lambda: Link(steps=((1.0, 1e300),)), "link.steps"),
        (lambda: Host(page_cpu_s=1e300), "host.page_cpu_s"),
        (lambda: Policy(name="nova", settings=(("delay_s_per_gib", 1e300),)), "policy.settings.delay_s_per_gib"),
    ],
)
def test_numbers_are_bounded(make, field):
    with pytest.raises(UsageError, match=f"^{field}: .*(too (large|small)|is not a)") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_frames_refuse_what_scenarios_refuse():
    frame = pd.DataFrame({"memory_bytes": [2**28] * 3, "bandwidth_bytes_per_s": [1e9, 1e-300, 1e300]})
    with pytest.raises(UsageError, match=r"2 of 3 rows are wrong: row 1: .*; row 2: "):
        predict_many(frame)


def test_what_may_be_unlimited_still_is():
    assert Link(bandwidth_bytes_per_s=float("inf")).steps == ()


def test_less_than_the_smallest_number_counts_as_0():
    tiny = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**20, writes_per_s=1e-300),))
    none = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**20, writes_per_s=0.0),))
    host = Host(write_fault_s=1e-25)
    assert predict(guest=tiny, host=host, level=None) == predict(guest=none, level=None)
    frame = pd.DataFrame({"memory_bytes": [2**28] * 2, "write_fault_s": [1e-25, 0.0]})
    assert predict_many(frame).iloc[0].equals(predict_many(frame).iloc[1])
