"""What Comlink's README, examples and tests show, between Python and JavaScript.

Those are at github.com/GoogleChromeLabs/comlink. The code is our own. Comlink joins two threads of
JavaScript, and every access is a promise; here the other side is Python, and answers at once.
"""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bifrost
from bifrost import JSError, Node, on, once, undefined
from bifrost.frontend.npm import Npm


class Counter:
    """The class that is exposed to JavaScript."""

    created = 0

    def __init__(self, start: int = 0) -> None:
        self.counter = start
        type(self).created += 1

    @property
    def doubled(self) -> int:
        return 2 * self.counter

    @doubled.setter
    def doubled(self, value: int) -> None:
        self.counter = value // 2

    def increment(self, by: int = 1) -> int:
        self.counter += by
        return self.counter

    async def later(self) -> int:
        return self.counter

    @staticmethod
    def hello() -> str:
        return "world"


COUNTER = """
class Counter {
  constructor(start = 0) { this.counter = start; }
  get doubled() { return 2 * this.counter; }
  set doubled(value) { this.counter = value / 2; }
  get promised() { return Promise.resolve(this.counter); }
  increment(by = 1) { return (this.counter += by); }
  async later() { return this.counter; }
  fail() { throw new RangeError('too far'); }
  static created = 7;
  static hello() { return 'world'; }
}
"""


class TestExpose:
    def test_an_object(self, node: Node) -> None:
        counter = node.eval("({ counter: 0, inc() { return ++this.counter; } })")
        assert counter.counter == 0
        counter.inc()
        assert counter.counter == 1
        assert node.eval("(c) => [c.inc(), c.counter]")(counter) == [2, 2]

    def test_an_object_of_python(self, node: Node) -> None:
        counter = Counter()
        script = "[counter.counter, counter.increment(), counter.increment(23), counter.doubled]"
        assert node.eval(script, {"counter": counter}) == [0, 1, 24, 48]
        assert counter.counter == 24

    def test_a_function_and_its_parameters(self, node: Node) -> None:
        assert node.eval("(a, b) => a + b")(1, 3) == 4
        assert node.eval("async (a, b) => a + b")(1, 3).result() == 4
        assert node.eval("f(1, 3)", {"f": lambda a, b: a + b}) == 4

    def test_a_callback(self, node: Node) -> None:
        heard: list[str] = []
        node.eval("async (say) => { say('A string from a worker'); }")(heard.append).result()
        assert heard == ["A string from a worker"]

    def test_undefined_parameters_and_properties(self, node: Node) -> None:
        assert node.eval("(x) => x === undefined")(undefined) is True
        assert node.eval("({ x: undefined })") == {"x": undefined}

    def test_a_callback_that_is_assigned(self, node: Node) -> None:
        worker = node.eval("({ onready: null, start() { this.onready({ value: 4 }); } })")
        got: list[Any] = []
        worker.onready = got.append
        worker.start()
        assert got == [{"value": 4}]


class TestClasses:
    def test_instances_of_an_exposed_class(self, node: Node) -> None:
        kind = node.eval(COUNTER + "Counter")
        one, two = kind(), kind(42)
        one.increment()
        two.increment(23)
        assert (one.counter, two.counter) == (1, 65)
        one.counter = 5
        one.doubled = 20
        assert (one.counter, one.doubled) == (10, 20)
        assert (kind.created, kind.hello()) == (7, "world")
        kind.created = 8
        assert node.eval("Counter.created") == 8

    def test_promises_of_instances(self, node: Node) -> None:
        counter = node.eval(COUNTER + "new Counter(3)")
        assert counter.later().result() == 3
        assert counter.promised.result() == 3

    def test_bound_methods(self, node: Node) -> None:
        counter = node.eval(COUNTER + "new Counter(3)")
        increment = counter.increment
        assert [increment(), increment()] == [4, 5]
        assert node.eval("(f) => f.call({ counter: 10 })")(increment) == 11  # it is bound in Python

    def test_instances_of_a_python_class(self, node: Node) -> None:
        Counter.created = 0
        made = node.run(
            "const one = new kind(); const two = new kind(42);"
            "one.increment(); two.increment(23); two.doubled = 10;"
            "const facts = [one.counter, two.counter, kind.created, kind.hello()];"
            "facts.push(await one.later()); const { counter, doubled } = two;",
            {"kind": Counter},
        )
        assert made["facts"] == [1, 5, 2, "world", 1]
        assert (made["counter"], made["doubled"]) == (5, 10)


class TestErrors:
    def test_message_stack_and_kind(self, node: Node) -> None:
        with pytest.raises(JSError) as caught:
            node.eval(COUNTER + "new Counter()").fail()
        error = caught.value
        assert (error.name, error.message) == ("RangeError", "too far")
        assert "Counter.fail" in error.stack

    @pytest.mark.parametrize("thrown", ["{ test: true }", "'text'", "5", "null", "undefined"])
    def test_what_is_no_error_is_thrown_too(self, node: Node, thrown: str) -> None:
        for script in (f"throw ({thrown})", f"(async () => {{ throw ({thrown}) }})()"):
            with pytest.raises(JSError) as caught:
                node.eval(script)
            expected = node.eval(f"({thrown})")
            assert caught.value.value == expected or caught.value.value is expected


class TestTransfer:
    def test_buffers_are_shared_not_moved(self, node: Node) -> None:
        data = bifrost.zeros(5, "uint8")
        length = node.eval("(data) => { data.typedArray.fill(7); return data.length; }")(data)
        assert (length, data.tolist()) == (5, [7] * 5)

    def test_a_typed_array_of_javascript_comes_whole(self, node: Node) -> None:
        assert np.array_equal(node.eval("new Uint8Array([1, 2, 3, 4, 5])"), [1, 2, 3, 4, 5])

    def test_a_message_port_is_used_from_python(self, node: Node) -> None:
        made = node.eval("new MessageChannel()")
        port, heard = made.port1, []
        arrived = node.require("events").once(made.port2, "message")
        port.postMessage({"from": "python"})
        heard = arrived.result()
        assert heard == [{"from": "python"}]
        port.close()

    def test_types_of_your_own(self, node: Node) -> None:
        class Celsius:
            def __init__(self, degrees: float) -> None:
                self.degrees = degrees

        node.register_custom_serializer(lambda t: {"degrees": t.degrees}, Celsius)
        node.register_custom_deserializer(lambda data: Celsius(data["degrees"]), Celsius)
        assert node.eval("(t) => t.degrees")(Celsius(21.5)) == 21.5
        assert isinstance(node.eval("(t) => [t]")(Celsius(3))[0], Celsius)


class TestProxies:
    def test_nested_values(self, node: Node) -> None:
        tree = node.eval("({ value: 1, child: { value: 2, grow() { return { f: () => 3 }; } } })")
        assert tree["child"].grow().f() == 3
        assert node.eval("(d) => d.a.b(1)(2)")({"a": {"b": lambda x: lambda y: x + y}}) == 3

    def test_the_same_thing_is_the_same_proxy(self, node: Node) -> None:
        counter = Counter()
        assert node.eval("(a, b) => a === b && a")(counter, counter) is counter

    def test_destructuring(self, node: Node) -> None:
        assert node.eval("(({ counter, hello }) => [counter, hello()])(c)", {"c": Counter(4)}) == [
            4,
            "world",
        ]

    def test_generators_in_both_directions(self, node: Node) -> None:
        def count() -> Iterator[int]:
            yield from range(3)

        assert node.eval("(g) => [...g]")(count()) == [0, 1, 2]
        assert list(node.eval("(function* () { yield 1; yield 2; })()")) == [1, 2]

    def test_listeners_of_events(self, node: Node) -> None:
        target = node.eval("new EventTarget()")
        seen: list[Any] = []

        @on(target, "click")
        def listen(event: Any) -> None:
            seen.append((event.type, event.target is target))

        @once(target, "click")
        def first(event: Any) -> None:
            seen.append("first")

        click = node.eval("(t) => t.dispatchEvent(new Event('click'))")
        click(target)
        click(target)
        target.removeEventListener("click", listen)
        click(target)
        assert seen == [("click", True), "first", ("click", True)]

    def test_a_released_proxy_lets_its_object_go(self, node: Node) -> None:
        node.run("let freed = []; const registry = new FinalizationRegistry((x) => freed.push(x));")
        made = node.eval(
            "() => { const big = new (class Big {})(); registry.register(big, 'big'); return big; }"
        )()
        assert made is not None
        del made
        _until(node, lambda: node.eval("freed") == ["big"])

    def test_an_object_of_python_is_finalized_when_javascript_forgets_it(self, node: Node) -> None:
        gone: list[str] = []
        counter = Counter()
        weakref.finalize(counter, gone.append, "gone")
        node.run("kept = counter; counter = null", {"counter": counter})
        del counter
        gc.collect()
        assert not gone
        node.run("kept = null")
        _until(node, lambda: gone == ["gone"])


def _until(node: Node, is_so: Any) -> None:
    for _ in range(200):
        gc.collect()
        node.run("gc(); await new Promise((r) => setTimeout(r, 5));")
        if is_so():
            return
    pytest.fail("never")


@pytest.mark.network
def test_python_reaches_into_a_worker_through_the_real_comlink(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Npm().install("comlink@4.4.2", "--silent", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "worker.cjs").write_text(
        """
        const { parentPort } = require('node:worker_threads');
        const Comlink = require('comlink');
        const endpoint = require('comlink/dist/umd/node-adapter');
        Comlink.expose({ squareRoots: (list, each) => Promise.all(list.map((n) => each(n))) },
          endpoint(parentPort));
        """
    )
    made = node.run(
        """
        const Comlink = require('comlink');
        const endpoint = require('comlink/dist/umd/node-adapter');
        const { Worker } = require('node:worker_threads');
        const worker = new Worker('./worker.cjs');
        const api = Comlink.wrap(endpoint(worker));
        const roots = await api.squareRoots([1, 4, 9], Comlink.proxy((n) => root(n)));
        await worker.terminate();
        """,
        {"root": math.sqrt},
    )
    assert made["roots"] == [1, 2, 3]
