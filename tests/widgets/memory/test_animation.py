"""The animation of memory, without a page that draws it."""

import zlib

import numpy as np
import pytest

from migkit import DirtyClass, Guest, simulate
from migkit.models.simulate import STATES
from migkit.viz.page_states import PAGES
from migkit.widgets import Animation, Player

CELLS = 65_536


@pytest.fixture(scope="module")
def animation():
    return Animation()


def states(film):
    changes = np.frombuffer(zlib.decompress(film["changes"]), np.uint8).reshape(-1, film["cells"])
    return np.bitwise_xor.accumulate(changes)


def test_both_films_hold_every_page_of_the_simulations(animation):
    assert [film["label"] for film in animation.player.films] == ["pre-copy", "post-copy"]
    for film, result in zip(animation.player.films, animation.runs.values(), strict=True):
        assert film["cells"] == CELLS
        assert (states(film) == result.frames.states).all()
        assert film["times_s"] == sorted(film["times_s"])
        assert film["times_s"][-1] == film["total_s"] == result.runs[0].total_time_s


def test_every_state_has_its_style_and_colours_differ():
    assert list(PAGES) == list(STATES)
    assert len({style.colour for style in PAGES.values()}) == len(STATES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory", "128 MiB"),
        ("working_set", "32 MiB"),
        ("write_rate", 5000.0),
        ("bandwidth", "2 Gbit/s"),
        ("zero", "0 MiB"),
    ],
)
def test_every_control_makes_other_films(name, value):
    animation = Animation()
    before = [film["changes"] for film in animation.player.films]
    getattr(animation, name).value = value
    after = [film["changes"] for film in animation.player.films]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_a_pre_copy_without_an_end_is_said_and_has_its_first_rounds(animation):
    animation.bandwidth.value = "300 Mbit/s"
    film = animation.player.films[0]
    assert "does not converge" in animation.headline.value
    assert film["total_s"] is film["stopped_s"] is None
    assert film["rounds"][-1] > 2
    animation.bandwidth.value = "1 Gbit/s"
    assert "does not converge" not in animation.headline.value


def test_a_contradiction_is_told_beside_the_control_and_the_films_stay(animation):
    before = animation.player.films
    animation.working_set.value = "2 GiB"
    assert "exceed" in animation.complaints["working set"]
    assert animation.player.films == before
    animation.working_set.value = "64 MiB"
    assert animation.complaints == {}


def test_the_code_makes_the_same_films(animation):
    names = {}
    exec(animation.code(), names)
    assert names["figure"].films == animation.player.films


def test_a_larger_guest_is_sampled():
    guest = Guest(memory_bytes=2**29, dirty=(DirtyClass(region_bytes=2**24, writes_per_s=1000),))
    [film] = Player({"a large one": simulate(guest, frames=10)}).films
    assert (film["label"], film["cells"]) == ("a large one", CELLS)
    assert film["pages_a_cell"] == 2.0


def test_a_simulation_without_frames_is_refused():
    with pytest.raises(ValueError, match="has no frames"):
        Player({"precopy": simulate(Guest(memory_bytes=2**22))})
