import pytest

from migkit.cli.lab import copy_notebooks, find, shipped_notebooks
from migkit.errors import UsageError


def test_shipped_notebooks_are_copied_once_and_never_overwritten(tmp_path):
    folder = tmp_path / "notebooks"
    copied = copy_notebooks(folder)
    assert [path.name for path in copied] == [path.name for path in shipped_notebooks()]
    copied[0].write_text("mine")
    copied[-1].unlink()
    assert copy_notebooks(folder) == [copied[-1]]
    assert len(copied) == 1 or copied[0].read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "notebooks").write_text("a file")
    with pytest.raises(UsageError, match="cannot hold the notebooks"):
        copy_notebooks(tmp_path / "notebooks")


def test_a_notebook_is_found_by_path_by_name_and_by_the_start_of_its_name(tmp_path):
    copy_notebooks(tmp_path / "notebooks")
    own = tmp_path / "own.ipynb"
    own.write_text("{}")
    start = tmp_path / "notebooks" / "00-start.ipynb"
    assert find("own.ipynb", tmp_path) == own
    assert find("notebooks/00-start.ipynb", tmp_path) == start
    assert find("00-start", tmp_path) == find("00", tmp_path) == start


def test_an_unknown_notebook_is_refused_with_the_known_ones(tmp_path):
    copy_notebooks(tmp_path / "notebooks")
    with pytest.raises(UsageError, match=r"notebook '99': not found; use one of .*00-start"):
        find("99", tmp_path)


def test_the_course_is_copied_into_a_folder_of_its_own_and_found_by_the_start_of_its_names(tmp_path):
    copied = copy_notebooks(tmp_path / "notebooks")
    lessons = [path for path in copied if path.parent == tmp_path / "notebooks/course"]
    assert [path.name[:9] for path in lessons] == [f"lesson-{number}-" for number in range(1, 7)]
    assert find("lesson-2", tmp_path) == lessons[1]
    assert find("notebooks/course/" + lessons[0].name, tmp_path) == lessons[0]
