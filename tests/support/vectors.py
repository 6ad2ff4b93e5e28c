"""The shared vectors, and the names that their Python expressions use."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import json
import re
import sys
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bifrost import JSError, undefined, zeros

FILE = Path(__file__).parent.parent / "vectors" / "values.json"
SECTIONS: list[dict[str, Any]] = json.loads(FILE.read_text())["sections"]
ENTRIES: list[dict[str, Any]] = [entry for section in SECTIONS for entry in section["entries"]]


class Color(enum.Enum):
    RED = "red"
    LIST = [1]  # noqa: RUF012 - the value of a member


class StrColor(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    TWO = 2


class StrSub(str):
    def __str__(self) -> str:
        return "not this"


@dataclasses.dataclass
class Point:
    x: int
    y: Any


Pair = collections.namedtuple("Pair", "a b")
UTC = datetime.UTC


def shared_list() -> Any:
    item = [1]
    return [item, item]


def cyclic_list() -> Any:
    value: list[Any] = [1]
    value.append(value)
    return value


def cyclic_dict() -> Any:
    value: dict[str, Any] = {"n": []}
    value["n"].append(value)
    return value


def cyclic_map() -> Any:
    value: dict[Any, Any] = {1: 2}
    value["self"] = value
    return value


def shared_set() -> Any:
    item = {1}
    return {"a": item, "b": item}


def shared_tuple_key() -> Any:
    key = (1, 2)
    return {key: 0, 5: key}


def caused(error: JSError, cause: JSError) -> JSError:
    error.__cause__ = cause
    return error


def local(*parts: int) -> datetime.datetime:
    """A local time as JavaScript's Date knows it."""
    return datetime.datetime(*parts).astimezone(UTC)


NAMES = {name: value for name, value in globals().items() if not name.startswith("_")} | {
    "Decimal": Decimal,
    "PurePosixPath": PurePosixPath,
    "UUID": UUID,
    "ZoneInfo": ZoneInfo,
}
NAMES |= {"np": np, "pd": pd, "re": re, "sys": sys, "undefined": undefined, "zeros": zeros}


def make(expression: str) -> Any:
    """The value of one of the vectors' expressions."""
    return eval(expression, dict(NAMES))


def expected(entry: dict[str, Any], direction: str) -> Any:
    """What a vector is in Python after JavaScript had it: "back" or "home"."""
    order = [direction, "back", "python"] if direction == "home" else [direction, "python"]
    return make(next(entry[key] for key in order if key in entry))


def name(entry: dict[str, Any]) -> str:
    return str(entry.get("python") or entry["js"])[:60]
