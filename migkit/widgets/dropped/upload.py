"""A file that a person gives: chosen or dropped, sent in pieces, refused in the page where it is too large."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from migkit.errors import printable
from migkit.units import MIB, format_size

__all__ = ["MOST_BYTES", "Upload"]

MOST_BYTES: Final = 64 * MIB
_HERE: Final = Path(__file__).parent
_LONGEST_NAME: Final = 200


class Upload(anywidget.AnyWidget):
    """A field that takes one file.

    Parameters
    ----------
    description
        What the file is, in a word or two.
    sentence
        Which forms are taken, in a sentence or two.
    name
        Of the file that is shown at first, where there is one.
    most_bytes
        How large it may be [B].

    Attributes
    ----------
    value
        Name and content of the last file; None: there was none yet.
    name
        Name of the file that is shown.
    message
        Why the last file was not taken, in one line; empty: it was.

    Examples
    --------
    >>> field = Upload("log", "Any log of a migration.")
    >>> field.take("stuck.log", b"Migration status: active")
    >>> field.value
    ('stuck.log', b'Migration status: active')
    """

    _esm = (_HERE / "upload.js").read_text(encoding="utf-8")
    _css = (_HERE / "upload.css").read_text(encoding="utf-8")
    description = traitlets.Unicode().tag(sync=True)
    help = traitlets.Unicode().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    most_bytes = traitlets.Int(MOST_BYTES).tag(sync=True)
    value: Any = traitlets.Any(None)
    tooltip = ""  # the sentences stand in the field itself

    def __init__(self, description: str, sentence: str, *, name: str = "", most_bytes: int = MOST_BYTES) -> None:
        super().__init__(description=description, help=sentence, name=name, most_bytes=most_bytes)
        self._transfer = ""
        self._pieces: list[bytes] = []
        self.on_msg(self._receive)

    def take(self, name: str, content: bytes) -> None:
        """Take a file as if a person had given it."""
        name = printable(name)[:_LONGEST_NAME]
        if len(content) > self.most_bytes:
            self.message = f"{name} is larger than {format_size(self.most_bytes)}, which is the most that is read"
            return
        self.message, self.name = "", name
        self.set_trait("value", (name, content))

    def _receive(self, _widget: Any, said: dict[str, Any], buffers: list[Any]) -> None:
        """Put the pieces of a file together; those of one that was begun earlier are dropped."""
        if said["transfer"] != self._transfer:
            self._transfer, self._pieces = said["transfer"], []
        self._pieces += [bytes(piece) for piece in buffers]
        if sum(map(len, self._pieces)) > self.most_bytes or said["last"]:
            pieces, self._pieces = self._pieces, []
            self.take(str(said["name"]), b"".join(pieces))
