import subprocess
import sys


def test_importing_migkit_loads_no_heavy_library():
    code = (
        "import sys, migkit; "
        "print(*sorted({'numba', 'pandas', 'scipy', 'plotly', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == ""


def test_every_public_name_is_importable():
    import migkit

    for name in migkit.__all__:
        assert getattr(migkit, name) is not None
