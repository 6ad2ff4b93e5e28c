"""Every vector through a real Node.js: alone, in a list, in a dict; there, back and both."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bifrost
from bifrost import JSError, Node, ShareError
from support import vectors
from support.same import same

SAME = Path(vectors.FILE).with_name("same.cjs")


@pytest.fixture(scope="module", params=["native", "copies"])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A Node.js that sees shared memory, and one that has to do without the native part."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "copies":
            patch.setenv("BIFROST_NATIVE", "0")
        yield from started()


def started() -> Iterator[Node]:
    gc.collect()
    gc.freeze()  # what was imported so far need not be looked at after each test
    with Node(node_options=["--expose-gc"]) as node:
        node.run(f"globalThis.same = require({str(SAME)!r})")
        yield node
    gc.unfreeze()


def settle(node: Node) -> tuple[dict[str, int], dict[str, int]]:
    """What Python and Node still hold of each other, after both collected their garbage."""
    for _ in range(2):
        gc.collect()
        node.run("await new Promise(setImmediate); gc(); await new Promise(setImmediate)")
    session = node._session
    assert session is not None
    return session.exchange.counts, session.call("counts")


@pytest.fixture(autouse=True)
def no_leaks(node: Node) -> Iterator[None]:
    yield
    node.run(
        "for (const n of ['x', 'y', 'l', 'd', 'r', 'made']) globalThis[n] = undefined; undefined"
    )
    for _ in range(20):  # finalizers run when V8 likes
        held = settle(node)
        if not any(sum(side.values()) for side in held):
            return
    raise AssertionError(f"still held: {held}")


to_node = [
    entry
    for entry in vectors.ENTRIES
    if "python" in entry and not {"refused", "lent"} & entry.keys()
]
to_python = [
    entry
    for entry in vectors.ENTRIES
    if "js" in entry and not {"refused", "reference"} & entry.keys()
]


@pytest.mark.parametrize("entry", to_node, ids=vectors.name)
def test_python_to_javascript_and_back(node: Node, entry: dict[str, Any]) -> None:
    value = vectors.make(entry["python"])
    given = {"x": value, "l": [value], "d": {"k": value}}
    check = entry.get("check") or (f"same(x, {entry['js']})" if "js" in entry else "true")
    script = f"""
        made = [x, l[0], d.k].map((x) => {check});
        y = x; r = {{ l: [x], d: {{ k: x }} }};
    """
    out = node.run(script, given)
    assert out["made"] == [True] * 3
    back = vectors.expected(entry, "back")
    for got in (out["y"], out["r"]["l"][0], out["r"]["d"]["k"]):
        if type(value) is np.ndarray and value.size:
            assert got is value
        else:
            assert same(got, back), got
    if isinstance(value, np.ndarray):
        assert same(value, vectors.make(entry["python"]))


@pytest.mark.parametrize("entry", to_python, ids=lambda entry: entry["js"][:60])
def test_javascript_to_python(node: Node, entry: dict[str, Any]) -> None:
    if "needs" in entry and not node.eval(entry["needs"]):
        pytest.skip(entry["needs"])
    home = vectors.expected(entry, "home")
    js = entry["js"]
    for got in (
        node.eval(f"({js})"),
        node.eval(f"[{js}]")[0],
        node.eval(f"({{ k: {js} }})")["k"],
        node.eval(f"new Map([[1, {js}]])")[1],
    ):
        assert same(got, home), got


@pytest.mark.parametrize("entry", [e for e in vectors.ENTRIES if "refused" in e], ids=vectors.name)
def test_refused(node: Node, entry: dict[str, Any]) -> None:
    given = {"x": {"a": [np.zeros(3), 1, vectors.make(entry.get("python", "None"))]}}
    js = "0" if "python" in entry else f"({{ a: [new Float64Array(3), 1, {entry['js']}] }})"
    with pytest.raises(ShareError) as caught:
        node.run(f"made = {js}", given) if "python" in entry else node.eval(js)
    assert caught.value.path.startswith("$.x.a[2]" if "python" in entry else "$.a[2]")
    assert entry["refused"] in str(caught.value)


@pytest.mark.parametrize("entry", [e for e in vectors.ENTRIES if "lent" in e], ids=vectors.name)
def test_lent(node: Node, entry: dict[str, Any]) -> None:
    value = vectors.make(entry["python"])
    out = node.run(f"ok = {entry['check']}; y = [x, {{ x }}]", {"x": value})
    assert out["ok"] is True
    assert out["y"][0] is out["y"][1]["x"] is value


@pytest.mark.parametrize(
    "entry", [e for e in vectors.ENTRIES if "reference" in e], ids=lambda entry: entry["js"]
)
def test_reference(node: Node, entry: dict[str, Any]) -> None:
    out = node.run(f"made = [{entry['js']}]; x = made[0]")
    assert isinstance(out["x"], bifrost.JSObject)
    assert entry["reference"] in repr(out["x"])
    assert out["made"][0] is out["x"]
    again = node.run("y = (x === made[0])", {"x": out["x"]})
    assert again["y"] is True
    del out, again


DTYPES = [
    *["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"],
    *["M8[s]", "m8[ns]", "U3", "S3", ">i2", ">u4", ">i8", ">f4", ">f8", ">c16", ">U2"],
]
STRUCTURED = [
    [("a", "u1"), ("b", "f8")],
    [("a", ">i4"), ("b", "U2"), ("c", "f4", (2, 2))],
    [("a", [("x", "i2")]), ("b", "S3")],
]
LAYOUTS = {
    "0-d": lambda a: a.reshape(-1)[5:6].reshape(()),
    "empty": lambda a: a[:0],
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "strided": lambda a: a[1::2, ::2],
    "reversed": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "3-d": lambda a: a.reshape(2, 2, 6),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


@pytest.mark.parametrize("is_shared", [False, True], ids=["mirrored", "shared"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*DTYPES, *STRUCTURED], ids=str)
def test_dtypes_and_layouts(node: Node, dtype: Any, layout: str, is_shared: bool) -> None:
    if not node.info["native"] and dtype not in ("f8", ">i4", STRUCTURED[1]):
        pytest.skip("a few stand for all")
    base = np.zeros((4, 6), dtype)
    source = np.arange(96, 96 + base.nbytes, dtype="u8").astype("u1")
    if base.dtype.kind not in "?U" and base.dtype.names is None:
        base = source.view(dtype).reshape(base.shape)
    elif base.dtype.kind == "?":
        base = source.view(dtype).reshape(base.shape) != 0
    else:
        base.reshape(-1)[:] = [(np.zeros((), dtype).item()) for _ in range(24)]
    if is_shared:
        base = bifrost.asarray(base)
    array = LAYOUTS[layout](base)
    before = array.copy()
    out = node.run(
        "l = [x.shape, x.ndim, x.length, x.size, x.typedArray.length >= x.size]; y = x; d = [x]",
        {"x": array},
    )
    assert out["l"] == [
        list(array.shape),
        array.ndim,
        len(array) if array.ndim else 1,
        array.size,
        True,
    ]
    for got in (out["x"], out["y"], out["d"][0]):
        assert got is array if array.nbytes else same(got.tobytes(), before.tobytes())
    assert array.tobytes() == before.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_shared", [False, True], ids=["mirrored", "shared"])
def test_changes_come_back(node: Node, order: str, is_shared: bool) -> None:
    make = bifrost.asarray if is_shared else np.asarray
    array = make(np.arange(12, dtype=f"{order}f8").reshape(3, 4))
    other = array  # another name for it
    node.run("x.set(-1, 1, 2); x.get(2).set(5, 0)", {"x": array[:, ::-1]})
    assert other[1, 1] == -1
    assert other[2, 3] == 5
    array[0, 0] = 77
    assert node.run("made = x.get(0, 3)", {"x": array[:, ::-1]})["made"] == 77


@pytest.mark.parametrize("is_shared", [False, True], ids=["mirrored", "shared"])
def test_fields_and_overlapping_arrays(node: Node, is_shared: bool) -> None:
    make = bifrost.asarray if is_shared else np.asarray
    record = make(np.zeros(3, [("a", "u1"), ("b", "f8")]))
    node.run("x.set(7, 1); y.typedArray[0] = 4", {"x": record["b"], "y": record})
    assert record.tolist() == [(4, 0.0), (0, 7.0), (0, 0.0)]
    whole = make(np.array([np.nan, 1.0, 2.0, 3.0]))
    half = whole[::2]
    for _ in range(2):
        node.run("x.set(5, 0); y.set(6, 1); x.set(8, 3)", {"x": whole, "y": half})
        assert whole.tolist() == [5, 1, 6, 8]
        whole[:] = [np.nan, 1, 2, 3]


def test_read_only_array_is_left_alone(node: Node) -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    assert node.run("made = x.readOnly", {"x": array})["made"] is True
    with pytest.raises(JSError, match="read-only"):
        node.run("x.set(1, 0)", {"x": array})
    assert array.tolist() == [0, 1, 2]


def test_what_was_taken_apart_is_one_object_again(node: Node) -> None:
    item: list[Any] = [1]
    array = np.zeros(3)
    out = node.run(
        "made = [x[0] === x[1], d.a === d.b.get(2), l[0] === l[1]];y = [x[0], [x[0]], d, d]; r = l",
        {"x": [item, item], "d": {"a": item, "b": {2: item}}, "l": [array, array]},
    )
    assert out["made"] == [True, True, True]
    first, (second,), third, fourth = out["y"]
    assert first is second
    assert third is fourth
    assert third["a"] is third["b"][2]
    assert out["r"][0] is out["r"][1] is array
    del out, item, array


def test_error_that_leads_back_to_itself(node: Node) -> None:
    error = node.eval("(() => { const e = new Error('x'); e.me = [e]; e.cause = e; return e })()")
    assert error.properties["me"][0] is error
    assert error.__cause__ is None
    error.properties.clear()
    error = node.eval(
        "(() => { const e = new Error('x'); const f = new Error('y', { cause: e });"
        " return { e, f, g: [f] } })()"
    )
    assert error["f"].__cause__ is error["e"]
    assert error["g"][0] is error["f"]
    del error


def test_thrown_value(node: Node) -> None:
    with pytest.raises(JSError) as caught:
        node.run("throw { a: [1] }")
    assert caught.value.value == {"a": [1]}


def test_registered_types(node: Node) -> None:
    class Money:
        def __init__(self, cents: Any) -> None:
            self.cents = cents

    node.register_custom_serializer(lambda money: [money.cents], Money)
    node.register_custom_deserializer(lambda parts: Money(*parts), Money)
    one = Money(5)
    out = node.run("made = [x[0][0], x[0] === x[1]]; x[0][0]++; y = x", {"x": [one, one]})
    assert out["made"] == [5, True]
    assert [item.cents for item in out["y"]] == [6, 6]
    assert out["y"][0] is out["y"][1]
    node.register_custom_serializer(lambda money: 1 / 0, Money)
    with pytest.raises(ShareError, match=r"\$\.x\[0\].*ZeroDivisionError") as caught:
        node.run("0", {"x": [Money(1)]})
    del one, out, caught


def test_failure_in_javascript_names_the_path_and_keeps_nothing(node: Node) -> None:
    import re

    given = {"x": [{"p q": re.compile("(?=a)*b")}, np.zeros(9), b"b" * 100_000]}
    with pytest.raises(ShareError, match="regular expression") as caught:
        node.run("0", given)
    assert caught.value.path == '$.x[0]["p q"]'
    del given, caught


def test_plain_data_crosses_fast(node: Node) -> None:
    records = [{"id": i, "name": f"n{i}", "tags": [i, i + 1]} for i in range(20_000)]
    floats = [i + 0.5 for i in range(1_000_000)]
    out = node.run("made = [x.length, l.length]", {"x": records, "l": floats}, timeout=20)
    assert out["made"] == [20_000, 1_000_000]
