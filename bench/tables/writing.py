"""Writes files so that none is left half, and nothing outside their folder is written."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from estimators.errors import BadInput


def replace(path: Path, write: Callable[[str], object]) -> None:
    """Writes a temporary file beside `path`, then renames it to `path`; a link is replaced, not what it points to.

    Raises BadInput if it cannot be written, or `path` is a pipe, a device or a folder; `path` is then as it was.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no regular file")
        new.unlink(missing_ok=True)  # a link, as one who can write there may have put it
        write(str(new))
        new.replace(path)
    except (OSError, UnicodeEncodeError) as error:  # a name that is no text, which some libraries need
        new.unlink(missing_ok=True)
        raise BadInput(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """Writes a text by `replace`; halves of characters, which no file can hold, as their escapes."""
    content = text.encode("utf-8", "backslashreplace")
    replace(path, lambda new: Path(new).write_bytes(content))


def appending(path: Path) -> IO[bytes]:
    """Opens a file to append to it; raises OSError for a link, which leads outside, and for what is no file."""
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o666), "ab", buffering=0)
