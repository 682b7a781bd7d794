"""Every notebook runs from a clean kernel, and what its text claims is true of what its cells made.

Lessons of the course are run by ``tests/course/test_lessons.py``.
"""

import nbclient
import nbformat
import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import TOP

NOTEBOOKS = sorted((TOP / "notebooks").glob("*.ipynb"))
CLAIMS = TOP / "tests/notebooks/claims"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_a_clean_kernel(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell((CLAIMS / f"{path.stem}.py").read_text()))
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if _complains(cell)] == []


def _complains(cell):
    return any(output.output_type == "error" or output.get("name") == "stderr" for output in cell.outputs)
