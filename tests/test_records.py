"""Records of named numbers, in plain Python and in compiled code."""

import numpy as np
import pytest

from migkit import jit
from migkit.records import Record, declared, numbers, several


class Point(Record):
    x_s: float
    y_s: float


class Either(Record, union=True):
    point: Point
    all_s: numbers(4)


class Whole(Record):
    now_s: float
    either: Either
    points: several(Point, 2)
    end_s: float


def written(whole):
    whole.now_s, whole.end_s = 1, 9.5
    whole.either.all_s[1] = 2.0
    whole.either.point.x_s -= 3.0
    whole.points[1].y_s = whole.either.point.y_s + whole.now_s
    return whole.points[1].y_s


EXPECTED = [1.0, -3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 9.5]


def test_fields_lie_one_behind_the_other_and_those_of_a_union_at_one_place():
    whole = Whole.new()
    assert written(whole) == 3.0
    assert whole.tolist() == EXPECTED
    assert (Whole.SIZE, Either.SIZE, Whole.dtype_of().itemsize) == (10, 4, 80)


def test_compiled_code_reads_and_writes_the_same_places():
    numba = pytest.importorskip("numba")
    jit.compile_kernels()
    whole, other = Whole.new(), Whole.new()
    assert numba.njit(written)(whole) == 3.0
    assert whole.tolist() == EXPECTED
    _assign(numba)(other, whole)
    assert other.tolist() == EXPECTED
    _clear(numba)(other)
    assert other.tolist() == [0.0] * 10


def _assign(numba):
    assign = jit.assign
    return numba.njit(lambda record, other: assign(record, other))


def _clear(numba):
    clear = jit.clear
    return numba.njit(lambda record: clear(record))


def test_a_copy_of_ones_own_is_alike_in_compiled_code():
    numba = pytest.importorskip("numba")
    jit.compile_kernels()
    owned = jit.owned

    def owning(whole):
        first, second = owned(whole), owned(whole)
        first.now_s, second.now_s = 1.0, 2.0
        return first.now_s, second.now_s

    whole = Whole.new()
    assert numba.njit(owning)(whole) == (1.0, 2.0)
    assert not whole.any()


def test_a_part_is_made_once_and_looks_at_the_same_numbers():
    whole = Whole.new()
    assert whole.points[1] is whole.points[1]
    whole[8] = 7.0
    assert whole.points[1].y_s == 7.0
    assert whole.copy().points[1] is not whole.points[1]
    assert [point.y_s for point in whole.points] == [0.0, 7.0]
    assert len(whole.points) == 2


def test_numbers_of_a_kind_are_assigned_to_what_is_derived_from_it():
    class Further(Point):
        z_s: float

    further, point = Further.new(), Point.new()
    point.x_s, further.z_s = 1.0, 3.0
    jit.assign(further, point)
    assert further.tolist() == [1.0, 0.0, 3.0]


def test_groups_of_records_are_told_apart():
    flat = np.arange(8.0)
    assert jit.rows(Point, flat, 2)[1][0]["x_s" if jit.are_compiled() else 0] == 4.0
    assert len(jit.rows(Point, np.zeros(0), 3)[2]) == 0


def test_many_records_are_columns_or_rows():
    columns = Point.new(3)
    columns.y_s = np.arange(3.0)
    flat = columns.T.reshape(-1)
    assert flat.tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 2.0]
    rows = jit.rows(Point, flat)
    assert len(rows) == 3
    assert flat.view(np.ndarray).view(Point.dtype_of())["y_s"].tolist() == [0.0, 1.0, 2.0]


def test_a_like_record_has_other_fields_at_the_same_places():
    own = declared("Own", Whole, either=declared("Mine", Record, mine_s=float))
    assert own.names() == Whole.names()
    whole = Whole.new()
    whole.view(own).either.mine_s = 4.0
    assert whole.either.point.x_s == 4.0


def test_a_name_that_arrays_have_is_refused():
    with pytest.raises(TypeError, match="record Wrong: size is what arrays call something else"):
        declared("Wrong", Record, size=float)
