"""The law of copies: what `proxy`, `copy` and `transfer` change about it, in both languages."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import numpy as np
import pytest

import bifrost
from bifrost import JSError, JSObject, Node, ShareError, copy, proxy, transfer, undefined


class Point:
    """An object with fields and a method."""

    kind = "point"

    def __init__(self, x: Any, y: Any = None) -> None:
        self.x = x
        self.y = y
        self._secret = 1
        self.note = lambda: None

    def norm(self) -> float:
        return float(abs(self.x))


# -- proxy: Python's lists and dicts


def test_data_is_copied_unless_it_is_sent_by_reference(node: Node) -> None:
    copied: list[int] = [1]
    shared: list[int] = [1]
    node.run("a.push(2); b.push(2);", {"a": copied, "b": proxy(shared)})
    assert (copied, shared) == ([1], [1, 2])


def test_a_list_is_an_array(node: Node) -> None:
    items: list[Any] = [3, 1, 2]
    seen = node.run(
        "const facts = [Array.isArray(a), a.length, a[0], a[9], 1 in a, 5 in a, a.at(-1)];"
        "a.push(5, 6); const popped = a.pop(); a.unshift(-1, 0); const first = a.shift();"
        "a[0] = 'zero'; a.splice(1, 2, 'x', 'y', 'z');"
        "const text = JSON.stringify(a), mapped = a.map((v) => v), spread = [...a];"
        "const keys = Object.keys(a); const found = a.indexOf('y');",
        {"a": proxy(items)},
    )
    assert seen["facts"] == [True, 3, 3, undefined, True, False, 2]
    assert (seen["popped"], seen["first"]) == (6, -1)
    assert items == ["zero", "x", "y", "z", 2, 5]
    assert seen["text"] == '["zero","x","y","z",2,5]'
    assert seen["mapped"] == seen["spread"] == items
    assert seen["keys"] == list("012345")
    assert seen["found"] == 2


def test_the_rest_of_what_arrays_do(node: Node) -> None:
    items: list[Any] = [3, 1, 2]
    node.run("a.sort((x, y) => x - y); a.reverse(); delete a[1];", {"a": proxy(items)})
    assert items == [3, undefined, 1]
    node.run("a.length = 1; a[2] = 'c'; a.append('d');", {"a": proxy(items)})
    assert items == [3, undefined, "c", "d"]
    node.run("a.length = 0; a.fill(1); Object.assign(a, ['x', 'y']);", {"a": proxy(items)})
    assert items == ["x", "y"]
    assert node.eval("a.concat([1]).join('')", {"a": proxy(items)}) == "xy1"
    with pytest.raises(JSError, match="no property name"):
        node.run("a.name = 1", {"a": proxy(items)})
    with pytest.raises(JSError, match="frozen"):
        node.run("Object.freeze(a)", {"a": proxy(items)})


def test_a_dict_is_an_object(node: Node) -> None:
    config: dict[Any, Any] = {"a": 1, "items": 2, 3: "three"}
    seen = node.run(
        "const facts = [d.a, d.items, d[3], d.missing, 'a' in d, 'b' in d];"
        "d.b = 5; d['a'] += 1; delete d.items; d[3] = 'III';"
        "const keys = Object.keys(d), text = JSON.stringify(d), { a, ...others } = d;",
        {"d": proxy(config)},
    )
    assert seen["facts"] == [1, 2, "three", undefined, True, False]
    assert config == {"a": 2, "b": 5, 3: "III"}
    assert seen["keys"] == ["a", "3", "b"]
    assert seen["text"] == '{"a":2,"3":"III","b":5}'
    assert seen["others"] == {"3": "III", "b": 5}
    with pytest.raises(JSError, match="frozen"):
        node.run("Object.freeze(d)", {"d": proxy(config)})


def test_what_is_inside_is_live_too(node: Node) -> None:
    rows: list[Any] = [{"tags": []}]
    made = node.run(
        "rows[0].tags.push('x'); for (const row of rows) row.seen = true;"
        "const same = rows[0] === rows[0]; const back = rows[0];",
        {"rows": proxy(rows)},
    )
    assert rows == [{"tags": ["x"], "seen": True}]
    assert made["same"] is True
    node.run("own = { n: 1 }; rows.push(own); own.n = 2;", {"rows": proxy(rows)})
    assert rows.pop() == {"n": 1}
    assert made["back"] is rows[0]


def test_what_comes_home_is_the_original(node: Node) -> None:
    items: list[int] = []
    assert node.eval("(x) => x")(proxy(items)) is items
    assert node.eval("(a, b) => a === b")(proxy(items), proxy(items)) is True


def test_sets_and_arrays_by_reference_are_python_objects(node: Node) -> None:
    some = {1}
    node.run("s.add(2); s.update([3, 4]);", {"s": proxy(some)})
    assert some == {1, 2, 3, 4}
    array = np.zeros(3)
    assert node.eval("a.fill(2); a.sum()", {"a": proxy(array)}) == 6


def test_console_log_shows_what_python_shows(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    node.run("console.log(a, { d });", {"a": proxy([1, None]), "d": proxy({"k": 1})})
    assert capfd.readouterr().out == "[Python [1, None]] { d: [Python {'k': 1}] }\n"


def test_what_cannot_change_is_no_reference() -> None:
    for value in (None, 1, 2.5, "text", b"bytes", True):
        with pytest.raises(TypeError, match="cannot change"):
            proxy(value)


# -- proxy: JavaScript's


def test_javascript_data_by_reference(node: Node) -> None:
    rows = node.eval("rows = [{ n: 1, tags: ['a'] }]; bifrost.proxy(rows)")
    assert isinstance(rows, JSObject)
    assert len(rows) == 1
    rows[0]["n"] = 2
    rows[0].tags.push("b")
    for row in rows:
        row.seen = True
    rows.push({"n": 3})
    assert node.eval("rows") == [{"n": 2, "tags": ["a", "b"], "seen": True}, {"n": 3}]
    assert rows[-1].n == 3
    assert rows.to_py() == node.eval("rows")
    assert node.eval("(x) => x === rows")(rows) is True
    assert node.eval("bifrost.proxy(rows)") is rows


def test_javascript_data_without_it_is_copied(node: Node) -> None:
    node.eval("plain = { n: 1 }")["n"] = 2
    assert node.eval("plain.n") == 1
    with pytest.raises(JSError, match="cannot change"):
        node.eval("bifrost.proxy('text')")


def test_a_proxy_of_a_proxy_is_itself(node: Node) -> None:
    thing = node.eval("new (class {})()")
    assert proxy(thing) is thing
    point = Point(1)
    assert node.eval("bifrost.proxy(p)", {"p": point}) is point


# -- copy


def test_an_object_by_value(node: Node) -> None:
    point = Point(1, [Point(2), {"deep": Point(3)}])
    assert copy(point) == {"x": 1, "y": [{"x": 2, "y": None}, {"deep": {"x": 3, "y": None}}]}
    made = node.run("p.x = 10; const kind = p.constructor === Object;", {"p": copy(point)})
    assert (point.x, made["kind"]) == (1, True)


def test_copy_of_other_things() -> None:
    now = dt.datetime(2024, 1, 1)
    assert copy([now, (1, 2), {3}, "x"]) == [now, [1, 2], {3}, "x"]
    assert copy(n * 2 for n in range(3)) == [0, 2, 4]
    array = np.arange(3)
    assert copy(array) is not array
    cyclic = Point(1)
    cyclic.y = cyclic
    copied = copy(cyclic)
    assert copied["y"] is copied
    with pytest.raises(ShareError, match=r"\$\.x: Lock|\$\.x: lock"):
        copy(Point(threading.Lock()))
    with pytest.raises(ShareError, match="no fields"):
        copy(lambda: 1)


def test_a_javascript_object_by_value(node: Node) -> None:
    made = node.run(
        "class Box { constructor(n) { this.n = n; this.f = () => 1; } };"
        "const box = new Box(1); box.inner = new Map([['k', new Box(2)]]); box.self = box;"
        "const copied = bifrost.copy(box);"
        "const url = bifrost.copy(new URL('http://a.b/c'));"
        "const items = bifrost.copy((function* () { yield 1; yield new Box(3); })());"
    )
    copied = made["copied"]
    assert copied["n"] == 1
    assert copied["inner"] == {"k": {"n": 2}}
    assert copied["self"] is copied
    assert made["url"] == "http://a.b/c"
    assert made["items"] == [1, {"n": 3}]
    assert made["box"].to_py()["inner"] == {"k": {"n": 2}}
    assert copy(made["box"])["n"] == 1


def test_copying_across(node: Node) -> None:
    assert node.eval("const c = bifrost.copy(p); c.x = 5; c", {"p": Point(1)}) == {
        "x": 5,
        "y": None,
    }
    with pytest.raises(ShareError, match="Promise"):
        node.eval("(x) => x")(node.eval("[Promise.resolve()]")[0].to_py())


# -- transfer


def test_handing_an_array_to_javascript(node: Node) -> None:
    array = np.arange(1000.0)
    node.run("kept = given;", {"given": transfer(array)})
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    assert node.eval("kept.typedArray[999]") == 999
    session = node._session
    assert session is not None
    assert session.exchange.counts["mirrors"] == 0
    with pytest.raises(TypeError, match="list"):
        transfer([1])  # type: ignore[type-var]


def test_handing_an_array_to_python(node: Node) -> None:
    made = node.run(
        "const before = new Float64Array([1, 2, 3]); const after = bifrost.transfer(before);"
        "const left = before.length; const nd = bifrost.transfer(new bifrost.NDArray("
        "new Int32Array(4), [2, 2])); const raw = bifrost.transfer(new ArrayBuffer(3));"
        "const again = bifrost.transfer(after) === after;"
    )
    assert made["after"].tolist() == [1, 2, 3]
    assert made["left"] == 0
    assert made["nd"].shape == (2, 2)
    assert made["raw"].tolist() == [0, 0, 0]
    assert made["again"] is True
    with pytest.raises(JSError, match="handed over"):
        node.eval("bifrost.transfer([1])")


def test_the_names_are_public() -> None:
    assert {"copy", "proxy", "transfer"} <= set(bifrost.__all__)
