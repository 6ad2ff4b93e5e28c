"""Whether two Python values are alike in everything that crosses."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np

from bifrost import JSError


def same(left: Any, right: Any, seen: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Like ``==``, but types count, NaN equals itself, -0.0 is not 0.0, and cycles are followed."""
    pair = (id(left), id(right))
    if pair in seen:
        return True
    seen |= {pair}
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return (
            left.dtype == right.dtype
            and left.shape == right.shape
            and left.tobytes() == right.tobytes()
        )
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right, [seen] * len(left)))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()), seen)
    if isinstance(left, JSError):
        mine, other = (
            [e.name, e.message, e.properties, e.value, e.__cause__] for e in (left, right)
        )
        return same(mine, other, seen)
    if isinstance(left, BaseException):
        return same(left.args, right.args, seen)
    if isinstance(left, datetime.datetime):
        fields = [(d.isoformat(), d.fold, str(d.tzinfo)) for d in (left, right)]
        return fields[0] == fields[1]
    if isinstance(left, re.Pattern):
        return (left.pattern, left.flags) == (right.pattern, right.flags)
    if isinstance(left, (float, complex, np.generic)) or type(left).__name__ == "Decimal":
        return repr(left) == repr(right)
    return bool(left == right)
