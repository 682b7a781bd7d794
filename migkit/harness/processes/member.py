"""One process of a run, and its owner's channel to it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from migkit import errors
from migkit.errors import MigkitError, RunError
from migkit.harness.linux.channel import Channel
from migkit.harness.processes.nursery import Nursery, Process
from migkit.harness.protocol import wire

__all__ = ["Member", "revived"]

_ANSWER_S: Final = 90.0


class Member:
    """A process and the owner's channel to it."""

    def __init__(self, nursery: Nursery, role: str, config: Mapping[str, Any], guest: Channel | None = None) -> None:
        self.role = role
        self.channel, theirs = Channel.pair(role, "owner")
        channels = {"owner": theirs} | ({"guest": guest} if guest else {})
        try:
            self.process: Process = nursery.start(role, config, channels)
        except BaseException:
            self.channel.close()
            raise
        self.channel.is_stopped = self.process.is_stopped

    def hear(self, word: str) -> Any:
        """Return what it says under ``word``, which must be its next message."""
        message = self.channel.receive(_ANSWER_S)
        if "error" in message:
            raise revived(message)
        return message[word]

    def hear_with_descriptors(self, word: str) -> dict[str, int]:
        """Return the descriptors that come with its next message, by the names under ``word``."""
        message, descriptors = self.channel.receive_with_descriptors(_ANSWER_S)
        if "error" in message:
            raise revived(message)
        return dict(zip(message[word], descriptors, strict=True))

    def lend(self) -> Channel:
        """Return a new channel to it, for another process to use (guests only)."""
        ours, theirs = Channel.pair("guest", "migration")
        with contextlib.closing(theirs):
            self.channel.send({"do": "adopt"}, [theirs.fileno()])
        answer = self.channel.receive(_ANSWER_S)
        if "error" in answer:
            ours.close()
            raise RunError(f"guest: {answer['error']}")
        return ours

    def end(self) -> None:
        """Kill it and close the channel; a second call does nothing."""
        self.process.end()
        self.channel.close()


def revived(message: Mapping[str, Any]) -> MigkitError:
    """Return the error that another process reported, as its own kind."""
    name = str(message.get("kind"))
    kind: Any = getattr(errors, name, None) or getattr(wire, name, RunError)
    error: MigkitError = kind(message["error"])
    return error
