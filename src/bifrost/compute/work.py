"""What workers are told: the work function's source and what goes with it."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ShareError
from ..protocol import parcels
from ..runtime.proxy import JSFunction
from .engine import Work
from .modules import resolve
from .policy import Policy
from .remote import RemoteDataPattern, RemoteDataSet

_NATIVE = re.compile(r"\{\s*\[native code\]\s*\}\s*$")

_TABLE = re.compile(r"(pandas|polars)\..*(DataFrame|Series|GroupBy|LazyFrame)")
_OF_TABLES = (
    'send plain data made from it, such as `frame.to_dict("records")` (of polars: `to_dicts()`),'
    " `series.to_list()` or `.to_numpy()`"
)


def source_of(work: Any) -> str:
    """The JavaScript of a work function: a text that evaluates to one, or a function of Node's.

    Raises:
        TypeError: it is neither.
    """
    __tracebackhide__ = True
    if isinstance(work, JSFunction):
        work = str(work.toString())
        if _NATIVE.search(work):
            raise TypeError(
                "a bound or built-in JavaScript function has no source to send:"
                " wrap it in one that has, `(x) => f(x)`"
            )
    if not isinstance(work, str):
        raise TypeError(
            f"a work function is JavaScript: its source as text, such as 'x => x * x', or a"
            f" function of Node's; not {type(work).__name__}"
        )
    source = work.rstrip(string.whitespace + ";")  # an expression, also of who wrote a statement
    if not source.strip():
        raise TypeError("the work function is an empty text")
    return source


def pack(value: Any, name: str) -> parcels.Parcel:
    """Return a value's parcel.

    Raises:
        ShareError: it cannot be sent; the path begins with `name`.
    """
    __tracebackhide__ = True
    try:
        return parcels.pack(value)
    except ShareError as error:
        advice = _OF_TABLES if _TABLE.fullmatch(error.kind) else error.advice
        raise ShareError(name + error.path[1:], error.kind, advice) from None


def make_work(
    ident: str,
    source: str,
    arguments: Sequence[Any],
    requires: Sequence[str],
    public: Mapping[str, Any],
    policy: Policy,
) -> Work:
    """Put together what workers are told of a job.

    Each address of a RemoteDataSet among the arguments is one argument, fetched here and now.

    Raises:
        ShareError: an argument is no plain value.
        OSError, ValueError: one cannot be fetched.
        TypeError: one is a RemoteDataPattern.
        ModuleError: a required module is not published, or no such package exists.
    """
    __tracebackhide__ = True
    found: list[Any] = []
    for one in arguments:
        if isinstance(one, RemoteDataPattern):
            raise TypeError(
                "a RemoteDataPattern cannot be an argument of a work function: give a RemoteDataSet"
                " of its addresses"
            )
        found += one if isinstance(one, RemoteDataSet) else [one]
    return Work(
        ident,
        source,
        b"".join(pack(found, "arguments")),
        resolve(requires),
        b"".join(pack(dict(public), "job.public")),
        policy,
    )
