"""Ranges of numbers as input sets: sequences whose items are worked out when asked for."""

from __future__ import annotations

import math
import operator
import secrets
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, overload

__all__ = ["Distribution", "MultiRange", "Range", "SparseRange"]

#: Python's counts, and JavaScript's: every index is exact in both.
_MOST: Final = 2**53


class Items(Sequence[Any]):
    """A sequence given by its length and a function of the index. Slices are lists."""

    @abstractmethod
    def _item(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._item(each) for each in range(*index.indices(len(self)))]
        place = operator.index(index)
        if place < 0:
            place += len(self)
        if not 0 <= place < len(self):
            raise IndexError(f"{index} of {len(self)} inputs")
        return self._item(place)

    def __iter__(self) -> Iterator[Any]:
        return map(self._item, range(len(self)))


class Range(Items):
    """Numbers from `start` to `end`, which is included where a step hits it, as in DCP.

    (Python's own `range`, which ends before its end, is an input set as it is.) The item at index
    i is ``start + i * step``, so that steps such as 0.1 do not add up their errors.

    Args:
        start: the first number.
        end: the last one that there may be; it may be less than `start`.
        step: the distance of two; by default 1, towards the end.
        group: if given, each item is a list of so many numbers; the last may be shorter.

    Raises:
        TypeError: something is not a number.
        ValueError: something is not finite, or the step leads away from the end.
    """

    def __init__(
        self, start: float, end: float, step: float | None = None, group: int | None = None
    ) -> None:
        self.start = _number("start", start)
        self.end = _number("end", end)
        towards = _sign(self.end - self.start)
        self.step = towards if step is None else _number("step", step)
        if _sign(self.step) != towards:
            raise ValueError(f"a step of {step} does not lead from {start} to {end}")
        if group is not None and (type(group) is not int or group < 1):
            raise ValueError(f"a group is a number of items, 1 or more, not {group!r}")
        self.group = group
        distance = self.end - self.start
        if self.step == 0:
            self._steps = 1
        elif isinstance(distance, int) and isinstance(self.step, int):
            self._steps = distance // self.step + 1
        else:
            self._steps = math.floor(abs(distance / self.step)) + 1
        if self._steps > _MOST:
            raise ValueError(f"{self._steps} numbers are more than can be counted")

    def __len__(self) -> int:
        return -(-self._steps // (self.group or 1))

    def _item(self, index: int) -> Any:
        if self.group is None:
            return self.start + index * self.step
        first = self.group * self.step * index + self.start
        count = min(self.group, self._steps - index * self.group)
        return [first + place * self.step for place in range(count)]

    def __repr__(self) -> str:
        group = "" if self.group is None else f", group={self.group}"
        return f"Range({self.start}, {self.end}, {self.step}{group})"


class MultiRange(Items):
    """Every combination of the items of several sequences: lists, the last item changing fastest.

    Args:
        ranges: Ranges, lists, arrays, any sequences; anything else stands for itself alone.
    """

    def __init__(self, *ranges: Any) -> None:
        self.ranges: tuple[Sequence[Any], ...] = tuple(map(_sequence, ranges))
        self._length = math.prod(map(len, self.ranges))

    def __len__(self) -> int:
        return self._length

    def _item(self, index: int) -> list[Any]:
        items = []
        for one in reversed(self.ranges):
            index, place = divmod(index, len(one))
            items.append(one[place])
        return items[::-1]

    def __repr__(self) -> str:
        return f"MultiRange({', '.join(map(repr, self.ranges))})"


class SparseRange(Items):
    """Several sequences one after the other.

    Args:
        ranges: as for :class:`MultiRange`.
    """

    def __init__(self, *ranges: Any) -> None:
        self.ranges: tuple[Sequence[Any], ...] = tuple(map(_sequence, ranges))
        self._length = sum(map(len, self.ranges))

    def __len__(self) -> int:
        return self._length

    def _item(self, index: int) -> Any:
        for one in self.ranges:
            if index < len(one):
                return one[index]
            index -= len(one)
        raise AssertionError("the caller has checked the index")

    def __iter__(self) -> Iterator[Any]:
        for one in self.ranges:
            yield from one

    def __repr__(self) -> str:
        return f"SparseRange({', '.join(map(repr, self.ranges))})"


class Distribution(Items):
    """Numbers of a distribution, by DCP's names and formulas.

    ``identity`` counts from 0. ``poisson(mean=1)``, ``normal(mean=0, deviation=1)`` and
    ``binomial(p=0.5)`` are the *values of the curve* at 0, 1, 2, ... (DCP's normal curve is not
    normalised: it is 1 at the mean). ``random(low, high)``, ``randomInt(low, high)`` (`high` is
    excluded) and ``normalRNG(mean=0, deviation=1)`` are random samples; an item depends on the
    seed and its index alone, so that it is the same whenever it is asked for, also in JavaScript.

    Args:
        name: one of the above.
        length: how many numbers.
        parameters: those of the distribution.
        seed: any integer; by default one is drawn.

    Raises:
        ValueError: there is no such distribution.
        TypeError: it takes other parameters.
    """

    def __init__(self, name: str, length: int, *parameters: float, seed: int | None = None) -> None:
        if name not in _CURVES:
            raise ValueError(f"no distribution {name!r}; there are {', '.join(_CURVES)}")
        if type(length) is not int or length < 0:
            raise ValueError(f"the length is a number of items, not {length!r}")
        curve, defaults, needed = _CURVES[name]
        if not needed <= len(parameters) <= len(defaults):
            raise TypeError(f"{name} takes {len(defaults)} parameters, not {len(parameters)}")
        self.name = name
        self.parameters = tuple(_number("parameter", one) for one in parameters)
        self.seed = secrets.randbits(53) if seed is None else seed
        self._length = length
        self._curve = curve
        self._given = (*self.parameters, *defaults[len(parameters) :])

    def __len__(self) -> int:
        return self._length

    def _item(self, index: int) -> float:
        return self._curve(self, index, *self._given)

    def uniform(self, index: int) -> float:
        """A random number in [0, 1) of the seed and an index (SplitMix64, its 53 highest bits)."""
        state = (self.seed + (index + 1) * 0x9E3779B97F4A7C15) & _WORD
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
        return ((state ^ (state >> 31)) >> 11) / 2**53

    def __repr__(self) -> str:
        parameters = "".join(f", {one}" for one in self.parameters)
        return f"Distribution({self.name!r}, {len(self)}{parameters}, seed={self.seed})"


_WORD: Final = 2**64 - 1


def _random(of: Distribution, index: int, low: float, high: float) -> float:
    return of.uniform(index) * (high - low) + low


def _random_int(of: Distribution, index: int, low: float, high: float) -> int:
    return math.floor(_random(of, index, low, high))


def _identity(_of: Distribution, index: int) -> int:
    return index


def _poisson(_of: Distribution, index: int, mean: float) -> float:
    if mean < 0:
        return math.nan
    if mean == 0:
        return 0.0 if index else math.nan  # as 0 * log(0) is there
    return math.exp(index * math.log(mean) - mean - math.lgamma(index + 1))


def _normal(_of: Distribution, index: int, mean: float, deviation: float) -> float:
    # The deviation is a factor in DCP, and no divisor.
    return math.exp(-((index - mean) ** 2) / 2 * deviation**2)


def _binomial(of: Distribution, index: int, p: float) -> float:
    tries = len(of)
    if not 0 < p < 1:
        return math.nan
    ways = math.lgamma(tries + 1) - math.lgamma(index + 1) - math.lgamma(tries - index + 1)
    return math.exp(ways + index * math.log(p) + (tries - index) * math.log(1 - p))


def _sample(of: Distribution, index: int, mean: float, deviation: float) -> float:
    radius = math.sqrt(-2 * math.log(1 - of.uniform(2 * index)))
    return radius * math.cos(2 * math.pi * of.uniform(2 * index + 1)) * deviation + mean


#: Name -> (function, defaults of the parameters, how many must be given).
_CURVES: Final[dict[str, tuple[Callable[..., float], tuple[float, ...], int]]] = {
    "random": (_random, (0, 1), 2),
    "randomInt": (_random_int, (0, 1), 2),
    "identity": (_identity, (), 0),
    "poisson": (_poisson, (1,), 0),
    "normal": (_normal, (0, 1), 0),
    "binomial": (_binomial, (0.5,), 0),
    "normalRNG": (_sample, (0, 1), 0),
}


def _number(what: str, value: Any) -> Any:
    """A finite int or float; NumPy's scalars become Python's."""
    if hasattr(value, "item") and not isinstance(value, (int, float)):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what}: {value!r} is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{what}: {value} is not finite")
    return value


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _sequence(value: Any) -> Any:
    if isinstance(value, (str, bytes, dict)):
        return [value]
    has_items = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return value if has_items else [value]
