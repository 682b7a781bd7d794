"""Servers of Jupyter as programs that end with the command that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from migkit.errors import RunError
from migkit.harness.linux.calls import die_with_parent

__all__ = ["serve"]

_ENDS_WITHIN_S: Final = 20.0


def serve(module: str, name: str, options: Sequence[str], folder: str, **environment: str) -> None:
    """Run a server of Jupyter until it ends; Ctrl-C is its own to handle.

    It imports nothing from the working folder and runs no configuration that lies there: it starts in ``folder``. A
    kernel has the folder of its notebook on its path, as everywhere in Jupyter.

    Parameters
    ----------
    module
        What Python runs.
    name
        What it is called in an error.
    options
        Its own.
    folder
        Where it starts; its configuration is there.
    environment
        Folders to put before those that variables such as ``JUPYTER_CONFIG_PATH`` name.

    Raises
    ------
    RunError
        It ended with an error.
    """
    before: Any = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = _until_it_ends([sys.executable, "-P", "-m", module, *options], cwd=folder, env=_with(environment))
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise RunError(f"{name} ended with exit code {code}; its last lines above say why")


def _with(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with folders put first."""
    put = {name: os.pathsep.join(filter(None, (folder, os.environ.get(name)))) for name, folder in paths.items()}
    return {**os.environ, **put}


def _until_it_ends(command: Sequence[str], **options: Any) -> int:
    """Run a program and return its exit code; who is told to end meanwhile has it end first, its kernels with it."""
    with subprocess.Popen(command, preexec_fn=_prepare, **options) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS_WITHIN_S)
            process.kill()
            raise


def _prepare() -> None:
    """Give the server its Ctrl-C back, and have it told to end when this process is killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with_parent(signal.SIGTERM)
