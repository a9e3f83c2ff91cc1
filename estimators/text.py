"""Text from outside (names, settings, messages, paths), shown as text whatever characters it has."""

import re
import unicodedata


def visible(text: str, keep: str = "") -> str:
    """Returns a text in which every character that does not print is written as its escape; `keep` lists exceptions.

    Control characters, which a terminal obeys, halves of characters, which no file can hold, and marks that change the
    direction of writing do not print. Spaces of any width stay.

    >>> print(visible("red \\x1b[31m, half \\ud800, turned \\u202e"))
    red \\x1b[31m, half \\ud800, turned \\u202e
    """
    if text.isprintable():
        return text
    return _OTHER.sub(lambda found: found[0] if found[0] in keep or _prints(found[0]) else _escape(found[0]), text)


_OTHER = re.compile("[^ -~]")


def _prints(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
