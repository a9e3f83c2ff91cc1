"""Text from outside (names, settings, messages, paths), shown as text whatever characters it has."""


def visible(text: str, keep: str = "") -> str:
    """Returns a text in which every character that does not print is written as its escape; `keep` lists exceptions.

    Control characters, which a terminal obeys, halves of characters, which no file can hold, and marks that change the
    direction of writing do not print.

    >>> print(visible("red \\x1b[31m, half \\ud800, turned \\u202e"))
    red \\x1b[31m, half \\ud800, turned \\u202e
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
