"""Slots of managers, by name and as text."""

import pytest

from migkit.errors import UsageError
from migkit.planning.slots import MANAGERS, Limit, limits_of


def test_managers_and_texts():
    assert limits_of("hco") == MANAGERS["hco"]
    assert limits_of("cluster=16/2,8") == (Limit("cluster", 16, "both", 2, 8),)
    assert str(Limit("host", 2, "out")) == "2 slots a host out"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kubevrt", "'kubevrt' is not known; use one of none, vmware"),
        ("rack=2", "'rack' has no slots; use one of host, nic, pool, cluster"),
        ("host=0", "lets no migration run"),
        ("host=2/4", "lets no migration run"),
        ("host=2/0", "lets no migration run"),
        ("host=-1", "is not known"),
    ],
)
def test_wrong_limits(text, said):
    with pytest.raises(UsageError) as caught:
        limits_of(text)
    assert said in str(caught.value)
