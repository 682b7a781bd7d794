"""What students type, and what they hear: worked by hand, apart from the exercises' own lists of mistakes."""

import math

import numpy as np
import pytest

from migkit import predict
from migkit.course import lesson
from migkit.errors import UsageError

GIB = 2**30


@pytest.mark.parametrize(
    ("number", "name", "given", "part"),
    [
        (1, "region_pages", 131_071, "off by 1"),
        (1, "region_pages", 512e6 / 4096, "Binary and decimal prefixes"),
        (1, "region_pages", 512 * 1024 / 1, "divide bytes by 4,096, not by 1,024"),
        (1, "reading_bytes_per_s", 25_000 * 4096, "4 KiB for every write"),
        (1, "reading_bytes_per_s", 93.2, "plain bytes, not kB, MB or GB"),
        (1, "reading_bytes_per_s", "745.8 Mbit/s", "The tool reads 93.2 MB/s"),
        (2, "first_round_s", 4 * GIB / 125e6, "leave the 1 GiB of zero pages out"),
        (2, "first_round_s", 3 * GIB / 1e9, "A byte has 8 bits"),
        (2, "first_round_s", 3e9 / 125e6, "Binary and decimal prefixes"),
        (2, "first_round_s", 25_770.0, "Seconds and milliseconds"),
        (2, "first_round_s", "26 s", "The engine says"),
        (2, "first_round_s", "26", "has no unit"),
        (2, "shrink", 125e6 / (25_000 * 4096), "upside down"),
        (2, "shrink", 25_000 / 125e6, "Pages and bytes were mixed"),
        (2, "geometric_total_s", 3 * GIB / 125e6 / (1 - 0.8192), "sum for ever"),
        (2, "geometric_total_s", 141.343 - 0.2618, "forgot the final pass"),
        (2, "settles_bytes", 512 * 2**20, "the whole region"),
        (3, "threshold_bytes", 125e6 * 300, "plain bytes"),
        (3, "threshold_bytes", 0.3 * 1e9, "A byte has 8 bits"),
        (3, "downtime_s", 0.3, "the limit that was planned for"),
        (3, "capped_final_pass_s", 14312635 / 50e6, "QEMU lifts it"),
        (3, "capped_final_pass_s", 14312635 / 50e6 * 1000, "Two things at once"),
        (3, "capped_final_pass_s", 0.3, "That is the downtime limit"),
        (4, "crossover_writes_per_s", 4096 * 31_780, "by a factor of 4,096"),
        (4, "risk", 1 - math.exp(-0.01 * 26.014), "divide it by 3,600"),
        (4, "risk", 7.226e-3, "Percent and shares"),
        (4, "fleet_risk", 1000 * 7.2259e-5, "added the probabilities up"),
        (5, "error_left_out", 0.00828, "the sign is not"),
        (5, "error_left_out", -0.828, "Percent and shares"),
        (5, "half_width", 1.6449 * 0.0902813 * math.sqrt(7 / 6), "Student's t"),
        (6, "least_bandwidth_bytes_per_s", "1.6 Gbit/s", "dirtied meanwhile are sent again"),
        (6, "makespan_s", 12 * 8.016426 * GIB / 1.25e9, "Zero pages cost next to nothing"),
    ],
)
def test_a_typical_answer_gets_the_sentence_that_helps(number, name, given, part):
    assert part in lesson(number).check(**{name: given}).text


@pytest.mark.parametrize(
    ("number", "name", "given"),
    [
        (3, "least_cap_bytes_per_s", 1.1 * 97_187_500),  # 7.4 % above the least link
        (4, "fault_s", 400e-6 + 4104 / 125e6 + 170e-6),  # two round trips
        (4, "fault_s", 200e-6 + 4104 / 1.25e9 + 170e-6),  # another link
    ],
)
def test_numbers_that_are_near_by_chance_are_not_told_from_prefixes(number, name, given):
    said = lesson(number).check(**{name: given})
    assert not said.right
    assert "prefixes" not in said.text


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (None, "lack its return"),
        ([25.8], "more than one value"),
        (np.array([25.8, 1.0]), "more than one value"),
        (math.nan, "the answer is finite"),
        (math.inf, "the answer is finite"),
        (True, "it is True"),
        (math.sqrt, "it is a function"),
        ("soon", "is not a time"),
        (object(), "is not a number"),
        (3 + 4j, "is not a number"),
        (0, "It is not 0"),
        (-25.8, "sign cannot be right"),
    ],
)
def test_what_is_no_number_gets_a_sentence_and_no_exception(given, part):
    assert part in lesson(2).check(first_round_s=given).text


def test_a_whole_prediction_is_asked_for_its_field():
    told = predict(lesson(2).case["shop"], level=None)
    assert "result.total_time_s" in lesson(2).check(overestimate=told).text


@pytest.mark.parametrize("given", [np.float64(25.77), np.array(25.77), np.float32(25.77), "25.77 s"])
def test_numbers_of_every_kind_are_taken(given):
    assert lesson(2).check(first_round_s=given).right


def rounds(volume, bandwidth, limit_s, dirtied, *, last=True, gives_up=True):
    total_s = 0.0
    for _ in range(500):
        total_s += volume / bandwidth
        volume, before = dirtied(volume / bandwidth), volume
        if volume <= bandwidth * limit_s:
            return total_s + (volume / bandwidth if last else 0.0)
        if gives_up and volume >= before:
            return math.inf
    return total_s


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (rounds, "With the curve"),
        (lambda *case: rounds(*case, last=False), "forgot the final pass"),
        (lambda *case: rounds(*case, last=False, gives_up=False), "forgot the final pass"),
        (lambda *case: rounds(*case, gives_up=False), "it never ends, and your answer is finite"),
        (lambda *case: math.inf, "your answer is infinite"),
        (lambda *case: 8 * rounds(*case), "A byte has 8 bits"),
        (lambda *case: ..., "in place of the three dots"),
        (lambda *case: None, "lack its return"),
        (lambda volume: volume, "it raised TypeError"),
        (lambda *case: 1 / 0, "it raised ZeroDivisionError"),
        (42.0, "is to be a function"),
    ],
)
def test_a_function_gets_the_sentence_that_helps(function, part):
    assert part in lesson(2).check(total_of_rounds=function).text


def test_a_function_is_called_by_its_name_where_it_fails():
    said = lesson(1).check(unique_pages=lambda t_s: t_s / 0)
    assert said.text.startswith("unique_pages(0.1): it raised ZeroDivisionError")


def test_a_prediction_that_was_seen_to_be_wrong_stays():
    two = lesson(2)
    two.commit(how_long="d")
    two.commit(how_long="a")  # before the answer, one may think again
    assert two.reveal("how_long").text.startswith("You expected a: less than 30 s. It is b")
    assert "so a stays" in two.commit(how_long="b").text
    assert two.reveal("how_long").text.startswith("You expected a")


def test_an_unknown_name_says_which_ones_are_asked_for():
    with pytest.raises(UsageError, match="did you mean shrink"):
        lesson(2).check(shrinks=1)
    with pytest.raises(UsageError, match="give one"):
        lesson(2).check(shrink=1, first_round_s=2)
    with pytest.raises(UsageError, match="no lesson 7"):
        lesson(7)


def test_a_sentence_is_shown_as_text_and_never_as_markup():
    said = lesson(2).check(first_round_s="<script>alert(1)</script>")
    assert "<script>" not in said._repr_html_()
    assert "&lt;script&gt;" in said._repr_html_()
