"""Values without parts: how each Python scalar type is written, and each code read back.

The table of docs/values.md is made from the shared vectors that test these.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import pathlib
import re
import struct
import uuid
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import numpy as np
import ormsgpack

from ..errors import ProtocolError
from .messages import Ext
from .undefined import Undefined

_DOUBLE: Final = struct.Struct("<d")
_DOUBLES: Final = struct.Struct("<dd")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)


class Unfit(Exception):
    """Raised by a leaf with the advice for the ShareError that its caller raises."""


def ext(code: Ext, body: bytes) -> ormsgpack.Ext:
    return ormsgpack.Ext(int(code), body)


# -- writing: Python value -> something MessagePack can carry


def integer(value: int) -> Any:
    """An int of any size: JavaScript gets a number up to 2**53 - 1, a BigInt beyond."""
    if -(1 << 63) <= value < 1 << 64:
        return int(value)
    return ext(
        Ext.BIGINT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    )


def text(value: str) -> Any:
    """A str. UTF-8 has no lone surrogates, JavaScript strings do."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ext(Ext.STR16, value.encode("utf-16-le", "surrogatepass"))
    return str(value)


def _date(milliseconds: float, original: str | None) -> Any:
    return ext(Ext.DATE, ormsgpack.packb([milliseconds, original]))


def _datetime(value: dt.datetime) -> Any:
    # A naive datetime is local time on both sides, as `timestamp()` has it.
    original = value.isoformat()
    zone = value.tzinfo
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        original += f"[{zone.key}]"
    aware = value if value.utcoffset() is not None else value.astimezone()
    return _date(float((aware - _EPOCH) // _MILLISECOND), original)


def _day(value: dt.date) -> Any:
    midnight = dt.datetime(value.year, value.month, value.day, tzinfo=dt.timezone.utc)
    return _date(float((midnight - _EPOCH) // _MILLISECOND), value.isoformat())


def _duration(value: dt.timedelta) -> Any:
    return ext(Ext.DURATION, ormsgpack.packb([value.days, value.seconds, value.microseconds]))


def _complex(value: complex) -> Any:
    return ext(Ext.COMPLEX, _DOUBLES.pack(value.real, value.imag))


_FLAGS: Final = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}
_NAMED: Final = re.compile(r"\(\?P<(\w+)>")
_BACKREFERENCE: Final = re.compile(r"\(\?P=(\w+)\)")


_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")


def _unescape(source: str, multiline: bool) -> str:
    """Drop the escapes that Python permits and JavaScript's ``u`` flag does not."""
    out: list[str] = []
    in_class = False
    characters = iter(source)
    for character in characters:
        if character != "\\":
            in_class = character == "[" or (in_class and character != "]")
            out.append(character)
            continue
        escaped = next(characters)
        if escaped in "AZ" and not in_class:
            if multiline:
                raise Unfit("JavaScript has no \\A and \\Z beside the MULTILINE flag")
            out.append("^" if escaped == "A" else "$")
        elif escaped.isalnum() or escaped in _SYNTAX or (escaped == "-" and in_class):
            out.append("\\" + escaped)
        else:
            out.append(escaped)
    return "".join(out)


def _pattern(value: re.Pattern[Any]) -> Any:
    if isinstance(value.pattern, bytes):
        raise Unfit("JavaScript matches strings, not bytes: compile a str pattern")
    if value.flags & (re.VERBOSE | re.ASCII | re.LOCALE):
        raise Unfit("JavaScript has no VERBOSE, ASCII or LOCALE flag: write the pattern without")
    source = _BACKREFERENCE.sub(r"\\k<\1>", _NAMED.sub(r"(?<\1>", value.pattern))
    source = _unescape(source, bool(value.flags & re.MULTILINE))
    flags = "".join(letter for flag, letter in _FLAGS.items() if value.flags & flag)
    return ext(Ext.REGEXP, ormsgpack.packb([source, flags + "u"]))


def _numpy_scalar(value: np.generic) -> Any:
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return _date(math.nan, None)
        moment = value.astype("datetime64[ms]")
        unit, _ = np.datetime_data(value.dtype)
        return _date(float(moment.astype(np.int64)), f"{unit}={value}")
    if isinstance(value, np.timedelta64):
        if np.isnat(value):
            raise Unfit("NaT has no duration: replace it first")
        return _duration(dt.timedelta(microseconds=int(value.astype("timedelta64[us]").astype(int))))
    return LEAVES[type(value.item())](value.item())


def _float(value: float) -> Any:
    return float(value)


def _identity(value: Any) -> Any:
    return value


#: Exact types; codec.py tries subclasses in the order of `SUBCLASSES`.
LEAVES: Final[dict[type, Callable[[Any], Any]]] = {
    type(None): _identity,
    bool: _identity,
    int: integer,
    float: _float,
    str: text,
    Undefined: lambda value: ext(Ext.UNDEFINED, b""),
    dt.datetime: _datetime,
    dt.date: _day,
    dt.time: lambda value: value.isoformat(),
    dt.timedelta: _duration,
    Decimal: lambda value: ext(Ext.DECIMAL, str(value).encode()),
    uuid.UUID: str,
    complex: _complex,
    re.Pattern: _pattern,
}

SUBCLASSES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (pathlib.PurePath, lambda value: text(str(value))),
    (np.generic, _numpy_scalar),
    (int, integer),
    (float, _float),
    (str, lambda value: text(str(value))),
    (complex, _complex),
    (dt.datetime, _datetime),
    (dt.date, _day),
    (dt.timedelta, _duration),
    (Decimal, LEAVES[Decimal]),
    (uuid.UUID, str),
)

ENUM: Final = enum.Enum


# -- reading: extension body -> Python value


def _read_date(body: bytes) -> Any:
    milliseconds, original = ormsgpack.unpackb(body)
    if original is not None:
        return _read_original(original)
    if math.isnan(milliseconds):
        return np.datetime64("NaT")
    try:
        return _EPOCH + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:  # a Date reaches further than the years 1 to 9999
        return np.datetime64(int(milliseconds), "ms")


def _read_original(original: str) -> Any:
    """Read back the ISO text that `_datetime`, `_day` or a NumPy scalar wrote."""
    unit, is_numpy, moment = original.partition("=")
    if is_numpy:
        return np.datetime64(moment, unit)
    zone = None
    if original.endswith("]"):
        original, _, key = original[:-1].partition("[")
        zone = zoneinfo.ZoneInfo(key)
    if len(original) == 10:
        return dt.date.fromisoformat(original)
    value = dt.datetime.fromisoformat(original)
    if zone is not None:
        # The offset says which of the two equal wall clock times of a night in autumn it is.
        value = value.astimezone(dt.timezone.utc).astimezone(zone)
    return value


def _read_duration(body: bytes) -> Any:
    days, seconds, microseconds = ormsgpack.unpackb(body)
    return dt.timedelta(days, seconds, microseconds)


_NAMED_BACK: Final = re.compile(r"\(\?<(?![=!])(\w+)>")
_BACKREFERENCE_BACK: Final = re.compile(r"\\k<(\w+)>")


def _read_regexp(body: bytes) -> Any:
    source, flags = ormsgpack.unpackb(body)
    value = 0
    for flag, letter in _FLAGS.items():
        if letter in flags:
            value |= flag
    source = _BACKREFERENCE_BACK.sub(r"(?P=\1)", _NAMED_BACK.sub(r"(?P<\1>", source))
    return re.compile(source.replace(r"\/", "/"), value)


READERS: Final[dict[int, Callable[[bytes], Any]]] = {
    Ext.UNDEFINED: lambda body: Undefined(),
    Ext.BIGINT: lambda body: int.from_bytes(body, "little", signed=True),
    Ext.STR16: lambda body: body.decode("utf-16-le", "surrogatepass"),
    Ext.DATE: _read_date,
    Ext.DECIMAL: lambda body: Decimal(body.decode()),
    Ext.DURATION: _read_duration,
    Ext.COMPLEX: lambda body: complex(*_DOUBLES.unpack(body)),
    Ext.REGEXP: _read_regexp,
}


def read(code: int, body: bytes) -> Any:
    """Return the value of a leaf's extension body.

    Raises:
        ProtocolError: no such code, or a body that is not what the code says.
    """
    reader = READERS.get(code)
    if reader is None:
        raise ProtocolError(f"unknown extension code {code}")
    return reader(body)
