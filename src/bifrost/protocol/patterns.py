"""Regular expressions: from Python's dialect to JavaScript's and back.

What one side cannot say is refused, never approximated in silence; docs/values.md names
the few differences that remain (what `\\w`, `\\d` and `\\s` match beyond ASCII).
"""

from __future__ import annotations

import re
from typing import Any, Final

_FLAGS: Final = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")
_QUANTIFIER: Final = re.compile(r"\{(\d*)(,?)(\d*)\}")
_GROUP: Final = re.compile(
    r"\(\?(?:P<(?P<name>\w+)>|P=(?P<again>\w+)\)|(?P<comment>#[^)]*\))|(?P<flags>[aiLmsux]+\)))"
)
_START: Final = r"(?<![\s\S])"
_END: Final = r"(?![\s\S])"


class Unfit(Exception):
    """Raised with the advice for the ShareError that the caller raises."""


def to_javascript(pattern: re.Pattern[Any]) -> tuple[str, str]:
    """Return the source and flags of the RegExp that matches the same.

    Raises:
        Unfit: JavaScript has no word for something in it.
    """
    source = pattern.pattern
    if isinstance(source, bytes):
        raise Unfit("JavaScript matches strings, not bytes: compile a str pattern")
    if pattern.flags & (re.VERBOSE | re.ASCII | re.LOCALE):
        raise Unfit("JavaScript has no VERBOSE, ASCII or LOCALE flag: write the pattern without")
    flags = "".join(letter for flag, letter in _FLAGS.items() if pattern.flags & flag)
    return _translate(source, bool(pattern.flags & re.MULTILINE)), flags + "u"


def _translate(source: str, multiline: bool) -> str:
    out: list[str] = []
    quantified = False  # whether what comes before is a quantifier
    at = 0
    while at < len(source):
        character = source[at]
        was_quantified, quantified = quantified, False
        if character == "\\":
            piece, at = _escape(source, at, in_class=False)
            out.append(piece)
        elif character == "[":
            piece, at = _class(source, at)
            out.append(piece)
        elif character == "(" and source.startswith("(?", at):
            piece, at = _group(source, at)
            out.append(piece)
        elif character in "*+?":
            if character == "+" and was_quantified:
                raise Unfit("JavaScript has no possessive quantifiers (`++`)")
            out.append(character)
            quantified = not was_quantified  # the second ? of `a??` ends it
            at += 1
        elif character == "{" and (found := _QUANTIFIER.match(source, at)) and found[0] != "{}":
            least, comma, most = found.groups()
            out.append(f"{{{least or 0}{comma}{most}}}")
            quantified = True
            at = found.end()
        else:
            if character in "{}]":
                character = "\\" + character
            elif character == "$" and not multiline:
                character = r"(?=\n?$)"
            out.append(character)
            at += 1
    return "".join(out)


def _group(source: str, at: int) -> tuple[str, int]:
    found = _GROUP.match(source, at)
    if found is None:
        if source.startswith("(?>", at):
            raise Unfit("JavaScript has no atomic groups (`(?>`)")
        if source.startswith("(?(", at):
            raise Unfit("JavaScript has no conditional groups (`(?(`)")
        return "(?", at + 2
    if found["name"]:
        return f"(?<{found['name']}>", found.end()
    if found["again"]:
        return rf"\k<{found['again']}>", found.end()
    return "", found.end()  # a comment, or flags, which the pattern's own flags have too


def _escape(source: str, at: int, *, in_class: bool) -> tuple[str, int]:
    escaped = source[at + 1]
    after = at + 2
    if not in_class and escaped in "AZ":
        return _START if escaped == "A" else _END, after
    if escaped == "a":
        return r"\x07", after
    if escaped == "U":
        return f"\\u{{{source[after : after + 8]}}}", after + 8
    if escaped == "N":
        raise Unfit(r"JavaScript has no `\N{...}`: write the character itself")
    octal = re.compile(r"0[0-7]{0,2}|[0-3][0-7]{2}" if not in_class else r"[0-7]{1,3}")
    if found := octal.match(source, at + 1):
        return f"\\x{int(found[0], 8):02x}", found.end()
    if escaped.isascii() and (escaped.isalnum() or escaped in _SYNTAX):
        return "\\" + escaped, after
    return ("\\-" if escaped == "-" and in_class else escaped), after


def _class(source: str, at: int) -> tuple[str, int]:
    """A set of characters, from its bracket to its bracket."""
    out = ["["]
    at += 1
    if source[at] == "^":
        out.append("^")
        at += 1
    first = True
    while first or source[at] != "]":
        piece, after = source[at], at + 1
        if piece == "\\":
            piece, after = _escape(source, at, in_class=True)
        elif piece == "]":
            piece = r"\]"
        out.append(piece)
        at, first = after, False
    return "".join(out) + "]", at + 1


_POINT: Final = re.compile(r"\\u\{(?P<point>[0-9a-fA-F]+)\}")
_BACK: Final = re.compile(
    rf"""{_POINT.pattern}
      | \\k<(?P<again>\w+)>
      | \\c(?P<control>[A-Za-z])
      | (?P<slash>\\/)
      | (?P<escape>\\.)
      | \(\?<(?P<name>[^=!>][^>]*)>
      | (?P<all>\[\^\])
      | (?P<none>\[\])
      | (?P<set>\[(?:\\.|[^\]\\])*\])
      | (?P<end>\$)
    """,
    re.VERBOSE | re.DOTALL,
)


def _long_escape(found: re.Match[str]) -> str:
    return f"\\U{int(found['point'], 16):08x}"


def from_javascript(source: str, flags: str) -> tuple[str, int]:
    """Return the pattern and flags for `re.compile` that match the same.

    The flags that say how to search and not what (``g``, ``y``, ``d``) are dropped.
    """
    value = sum(int(flag) for flag, letter in _FLAGS.items() if letter in flags)

    def piece(found: re.Match[str]) -> str:
        if found["point"]:
            return _long_escape(found)
        if found["again"]:
            return f"(?P={found['again']})"
        if found["control"]:
            return f"\\x{ord(found['control']) & 31:02x}"
        if found["slash"]:
            return "/"
        if found["name"]:
            return f"(?P<{found['name']}>"
        if found["all"]:
            return r"[\s\S]"
        if found["none"]:
            return "(?!)"
        if found["set"]:
            # Inside a set everything but code points and slashes is alike.
            return _POINT.sub(_long_escape, found["set"].replace(r"\/", "/"))
        if found["end"] and "m" not in flags:
            return r"\Z"  # Python's $ also matches before a last newline
        return found[0]

    return _BACK.sub(piece, source), value
