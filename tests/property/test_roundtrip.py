"""Laws of the values, through one real Node.js.

Round trip: what plain data becomes in JavaScript comes back equal.
Identity inside one message: two mentions of one object are one object on the other side.
Identity at home: an array that JavaScript did not replace is the same object.
Culprit: the path of a ShareError leads to what could not cross.
Nothing is kept: after all of it, neither side holds anything of the other.
"""

from __future__ import annotations

import datetime
import gc
import string
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bifrost
from bifrost import Node, ShareError, undefined
from support.same import same

LAWS = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node(node_options=["--expose-gc"]) as node:
        yield node
        for _ in range(20):
            gc.collect()
            node.run("x = y = undefined; await new Promise(setImmediate); gc()")
        session = node._session
        assert session is not None
        assert set(session.exchange.counts.values()) == {0}
        assert set(session.call("counts").values()) == {0}


TEXT = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=40).map(
    # Two surrogates that make a pair are one character in JavaScript.
    lambda text: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
)
MOMENTS = st.one_of(
    st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=True),
    st.datetimes(
        timezones=st.integers(-86399, 86399).map(
            lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds))
        )
    ),
)
KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False).map(lambda x: x if not x.is_integer() else int(x)),
    TEXT,
    st.binary(max_size=8),
    st.dates(),
)
HASHABLE = st.one_of(KEYS, st.tuples(KEYS, KEYS))
#: Floats without a fraction are ints to Python (docs/values.md), so those are left out.
FLOATS = st.floats().filter(
    lambda x: not x.is_integer() or abs(x) >= 2**53 or (x == 0 and str(x) == "-0.0")
)
LEAVES = st.one_of(
    KEYS,
    FLOATS,
    st.just(undefined),
    st.binary(max_size=100),
    st.decimals().map(lambda d: Decimal(str(d))),
    st.complex_numbers(),
    st.timedeltas(),
    MOMENTS,
    st.sets(HASHABLE, max_size=5),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(TEXT, inner, max_size=6),
        st.dictionaries(HASHABLE, inner, max_size=6),
    ),
    max_leaves=25,
)
ARRAYS = hnp.arrays(
    dtype=st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(endianness="?"),
        hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
        hnp.datetime64_dtypes(),
        hnp.timedelta64_dtypes(),
        hnp.byte_string_dtypes(min_len=1, max_len=5),
        hnp.unicode_string_dtypes(min_len=1, max_len=5),
    ),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


def sorted_dicts(value: Any) -> Any:
    """Dicts whose keys are all strings by key: an object's keys like "0" come first."""
    if type(value) is list:
        return [sorted_dicts(item) for item in value]
    if type(value) is not dict:
        return value
    items = [(key, sorted_dicts(item)) for key, item in value.items()]
    if all(type(key) is str for key in value):
        items.sort(key=lambda pair: pair[0])
    return dict(items)


@LAWS
@given(value=VALUES)
def test_round_trip(node: Node, value: Any) -> None:
    out = node.run("y = [x, new Map([['k', x]])]", {"x": value})
    first, mapped = out["y"]
    assert same(sorted_dicts(first), sorted_dicts(value))
    assert same(sorted_dicts(mapped["k"]), sorted_dicts(value))


@LAWS
@given(items=st.lists(VALUES, min_size=1, max_size=4), data=st.data())
def test_identity_inside_one_message(node: Node, items: list[Any], data: st.DataObject) -> None:
    """A random web of lists and dicts, some in themselves, comes back with the same links."""
    nodes: list[Any] = [[] if data.draw(st.booleans()) else {} for _ in range(5)]
    for index, holder in enumerate(nodes):
        links = data.draw(st.lists(st.integers(0, 4), max_size=3))
        children = [nodes[link] for link in links] + items[:1]
        if isinstance(holder, list):
            holder.extend(children)
        else:
            holder.update({f"k{at}" if index % 2 else at: c for at, c in enumerate(children)})
    got = node.run("y = x", {"x": nodes})["y"]
    pairs = {id(nodes): got}

    def compare(mine: Any, other: Any) -> None:
        if type(mine) not in (list, dict) or not mine:
            return
        if id(mine) in pairs and mine is not nodes:
            assert pairs[id(mine)] is other
            return
        pairs[id(mine)] = other
        keys = range(len(mine)) if isinstance(mine, list) else list(mine)
        assert len(mine) == len(other)
        for key in keys:
            compare(mine[key], other[key])

    compare(nodes, got)


@LAWS
@given(array=ARRAYS, is_shared=st.booleans(), data=st.data())
def test_unchanged_array_is_the_same_object(
    node: Node, array: Any, is_shared: bool, data: st.DataObject
) -> None:
    if is_shared:
        array = bifrost.asarray(array)
    if array.ndim and array.size:
        array = array[data.draw(hnp.basic_indices(array.shape, allow_newaxis=True))]
    if not isinstance(array, np.ndarray):
        return
    before = array.tobytes()
    y = node.run("y = [x, { a: x }]", {"x": array})["y"]
    assert array.tobytes() == before
    assert y[0] is y[1]["a"]
    assert y[0] is array or not array.size


@LAWS
@given(path=st.lists(st.integers(0, 3) | st.text(string.ascii_letters, min_size=1, max_size=4)))
def test_path_of_a_share_error_names_the_culprit(node: Node, path: list[Any]) -> None:
    value: Any = range(10**12)
    for step in reversed(path):
        value = [np.zeros(2)] * step + [value] if isinstance(step, int) else {"": 1, step: value}
    with pytest.raises(ShareError) as caught:
        node.run("0", {"x": value})
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    assert caught.value.path == "$.x" + "".join(steps)
    assert caught.value.kind == "range"
