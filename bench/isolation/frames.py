"""Messages on a pipe that its other users may disturb: a frame names the task it answers, and anything else is refused.

A task's code shares the pipe's descriptor: it may write into it, or fork a process that answers a second time. A frame
is the task's token, the length and a checksum of its content, and the content. Reading never blocks.
"""

import os
import zlib

TOKEN = 16
"""Bytes of a token."""
HEADER = TOKEN + 8 + 4
"""Bytes before the content of a frame: token, length, checksum."""
PIECE = 2**16
"""Bytes that are read at a time."""


class NotAFrame(Exception):
    """The bytes on the pipe are not a frame of the current task."""


def framed(token: bytes, content: bytes) -> bytes:
    """Returns the frame of `content`, an answer to the task with this token."""
    return token + len(content).to_bytes(8, "big") + zlib.crc32(content).to_bytes(4, "big") + content


def write_all(descriptor: int, frame: bytes) -> None:
    """Writes all bytes of a frame to a blocking pipe."""
    left = memoryview(frame)
    while left:
        left = left[os.write(descriptor, left) :]


class Frames:
    """The frames that arrive at a pipe."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def read(self, descriptor: int) -> None:
        """Reads what has arrived at a descriptor with news. Raises EOFError when the other side has closed it."""
        try:
            new = os.read(descriptor, PIECE)
        except ConnectionError:
            new = b""
        if not new:
            raise EOFError
        self._bytes += new

    def next(self, token: bytes) -> bytes | None:
        """Returns the content of the next complete frame, or None before it is complete.

        Raises NotAFrame if the bytes are not a frame with this token, as soon as the first byte differs.
        """
        start = bytes(self._bytes[:TOKEN])
        if start != token[: len(start)]:
            raise NotAFrame
        if len(self._bytes) < HEADER:
            return None
        end = HEADER + int.from_bytes(self._bytes[TOKEN : TOKEN + 8], "big")
        if len(self._bytes) < end:
            return None
        content = bytes(self._bytes[HEADER:end])
        if zlib.crc32(content) != int.from_bytes(self._bytes[HEADER - 4 : HEADER], "big"):
            raise NotAFrame
        del self._bytes[:end]
        return content
