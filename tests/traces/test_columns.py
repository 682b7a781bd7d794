import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migkit.traces.columns import column, make_table


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_survive(values):
    table = make_table({"x": "int64"}, {"x": np.array(values, np.int64)})
    assert table["x"].to_pylist() == values == column(table, "x").tolist()


@given(values=st.lists(st.floats(allow_nan=False)))
def test_numbers_survive(values):
    table = make_table({"x": "float64"}, {"x": values})
    assert table["x"].to_pylist() == values == column(table, "x").tolist()


@given(values=st.lists(st.text(st.characters(codec="utf-8"))))
def test_text_survives(values):
    assert make_table({"x": "string"}, {"x": values})["x"].to_pylist() == values


def test_chunks_and_slices_are_read_in_order():
    table = pa.concat_tables([make_table({"x": "int32"}, {"x": [1, 2, 3]}), make_table({"x": "int32"}, {"x": [4]})])
    assert column(table, "x").tolist() == [1, 2, 3, 4]
    assert column(table.slice(1, 2), "x").tolist() == [2, 3]
    assert column(table.slice(0, 0), "x").tolist() == []


@pytest.mark.parametrize(
    ("kind", "values"), [("int32", [2**40]), ("int64", [1.5]), ("int64", ["x"]), ("int64", [[1], [2]])]
)
def test_values_that_do_not_fit_are_refused(kind, values):
    with pytest.raises((TypeError, ValueError)):
        make_table({"x": kind}, {"x": values})
