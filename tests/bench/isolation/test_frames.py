"""What arrives at a pipe is a frame of the current task, or is refused as soon as that can be seen."""

import os
from contextlib import suppress

import pytest

from bench.isolation.frames import HEADER, TOKEN, Frames, NotAFrame, framed, write_all

MINE, OTHER = b"m" * TOKEN, b"o" * TOKEN


def arrived(*pieces):
    frames = Frames()
    for piece in pieces:
        reading, writing = os.pipe()
        write_all(writing, piece)
        os.close(writing)
        with suppress(EOFError):
            while True:
                frames.read(reading)
        os.close(reading)
    return frames


def test_frames_in_any_pieces():
    whole = framed(MINE, b"first") + framed(MINE, b"") + framed(MINE, b"x" * 10_000)
    for step in (1, 7, len(whole)):
        frames = arrived(*(whole[at : at + step] for at in range(0, 56, step)), whole[max(56, step) :])
        assert [frames.next(MINE) for _ in range(3)] == [b"first", b"", b"x" * 10_000] and frames.next(MINE) is None


@pytest.mark.parametrize("wrong", [framed(OTHER, b"answer"), b"\0", b"m" * 3 + b"n", OTHER[:1]])
def test_what_does_not_begin_with_the_token_is_refused_at_once(wrong):
    with pytest.raises(NotAFrame):
        arrived(wrong).next(MINE)


@pytest.mark.parametrize("at", [TOKEN + 8, HEADER - 1, HEADER, HEADER + 5])
def test_a_changed_byte_of_the_checksum_or_the_content_is_refused(at):
    frame = bytearray(framed(MINE, b"answer"))
    frame[at] ^= 1
    with pytest.raises(NotAFrame):
        arrived(bytes(frame)).next(MINE)


def test_a_second_answer_belongs_to_no_task():
    frames = arrived(framed(MINE, b"answer") + framed(MINE, b"again"))
    assert frames.next(MINE) == b"answer"
    with pytest.raises(NotAFrame):
        frames.next(OTHER)
