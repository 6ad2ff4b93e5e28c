"""Values without parts: how each Python scalar type is written, and each code read back.

The table of docs/values.md is made from the shared vectors that test these.
"""

from __future__ import annotations

import datetime as dt
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

from ..errors import ProtocolError, ShareError
from . import patterns
from .messages import Ext
from .patterns import Unfit
from .undefined import Undefined

_DOUBLE: Final = struct.Struct("<d")
_DOUBLES: Final = struct.Struct("<dd")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
#: Ends the text of a datetime whose `fold` is 1: the second of two equal wall clock times.
_FOLD: Final = "~1"
#: A Date reaches this far on both sides of 1970, in milliseconds.
_FURTHEST: Final = 8_640_000_000_000_000


def ext(code: Ext, body: bytes) -> ormsgpack.Ext:
    return ormsgpack.Ext(int(code), body)


# -- writing: Python value -> something MessagePack can carry


def integer(value: int) -> Any:
    """An int of any size: JavaScript gets a number up to 2**53 - 1, a BigInt beyond."""
    if -(1 << 63) <= value < 1 << 64:
        return value
    return ext(Ext.BIGINT, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def text(value: str) -> Any:
    """A str. UTF-8 has no lone surrogates, JavaScript strings do."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ext(Ext.STR16, value.encode("utf-16-le", "surrogatepass"))
    return value


def _date(milliseconds: float, original: str | None) -> Any:
    return ext(Ext.DATE, ormsgpack.packb([milliseconds, original]))


def _datetime(value: dt.datetime) -> Any:
    if value != value:
        return _date(math.nan, None)  # pandas.NaT
    if type(value) is not dt.datetime:  # pandas' has nanoseconds, and methods of its own
        clock = (value.hour, value.minute, value.second, value.microsecond)
        value = dt.datetime.combine(
            dt.date(value.year, value.month, value.day),
            dt.time(*clock, tzinfo=value.tzinfo, fold=value.fold),
        )
    original = value.isoformat()
    zone = value.tzinfo
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        original += f"[{zone.key}]"
    if value.fold:
        original += _FOLD
    aware = value
    if value.utcoffset() is None:
        # A naive datetime is local time on both sides, as `timestamp()` has it.
        try:
            aware = value.replace(tzinfo=None).astimezone()
        except (OverflowError, ValueError, OSError):  # at the ends of the calendar
            aware = value.replace(tzinfo=dt.UTC)
    return _date(float((aware - _EPOCH) // _MILLISECOND), original)


def _day(value: dt.date) -> Any:
    midnight = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    return _date(float((midnight - _EPOCH) // _MILLISECOND), value.isoformat())


def _duration(value: dt.timedelta) -> Any:
    return ext(Ext.DURATION, ormsgpack.packb([value.days, value.seconds, value.microseconds]))


def _complex(value: complex) -> Any:
    return ext(Ext.COMPLEX, _DOUBLES.pack(value.real, value.imag))


def _pattern(value: re.Pattern[Any]) -> Any:
    parts = patterns.to_javascript(value)
    return ext(Ext.REGEXP, ormsgpack.packb([*parts, [value.pattern, int(value.flags)]]))


def _numpy_scalar(value: np.generic) -> Any:
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return _date(math.nan, None)
        unit, _ = np.datetime_data(value.dtype)
        moment = value.astype("datetime64[ms]")
        milliseconds = int(moment.astype(np.int64))
        if abs(milliseconds) > _FURTHEST or moment.astype(value.dtype) > value:
            raise Unfit("a Date reaches some 270,000 years around 1970: send it as a number")
        return _date(float(milliseconds), f"{unit}={value}")
    if isinstance(value, np.timedelta64):
        if np.isnat(value):
            raise Unfit("NaT has no duration: replace it first")
        return _duration(
            dt.timedelta(microseconds=int(value.astype("timedelta64[us]").astype(int)))
        )
    item = value.item()
    leaf = LEAVES.get(type(item))
    if leaf is None:  # longdouble stays what it is
        raise Unfit("JavaScript has no extended precision: send `float(x)` or `complex(x)`")
    return leaf(item)


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
    (int, lambda value: integer(int(value))),
    (float, _float),
    (str, lambda value: text(str.__str__(value))),  # str() would ask the subclass
    (complex, _complex),
    (dt.datetime, _datetime),
    (dt.date, _day),
    (dt.timedelta, _duration),
    (Decimal, LEAVES[Decimal]),
    (uuid.UUID, str),
)

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
        return np.dtype(f"datetime64[{unit}]").type(moment, unit)
    fold = original.endswith(_FOLD)
    original = original.removesuffix(_FOLD)
    zone = None
    if original.endswith("]"):
        original, _, key = original[:-1].partition("[")
        zone = zoneinfo.ZoneInfo(key)
    if len(original) == 10:
        return dt.date.fromisoformat(original)
    value = dt.datetime.fromisoformat(original)
    if zone is None and not fold:
        return value
    return value.replace(tzinfo=zone or value.tzinfo, fold=int(fold))


def _read_duration(body: bytes) -> Any:
    days, seconds, microseconds = ormsgpack.unpackb(body)
    return dt.timedelta(days, seconds, microseconds)


def _read_regexp(body: bytes) -> Any:
    source, flags, original = ormsgpack.unpackb(body)
    if original is not None:
        return re.compile(*original)
    try:
        return re.compile(*patterns.from_javascript(source, flags))
    except (re.error, RecursionError, OverflowError) as error:
        advice = f"Python has no such regular expression ({error}): send its source"
        raise ShareError("$", f"RegExp /{source}/{flags}", advice) from None


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
        ShareError: Python has no such value.
    """
    reader = READERS.get(code)
    if reader is None:
        raise ProtocolError(f"unknown extension code {code}")
    return reader(body)
