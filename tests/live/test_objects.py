"""Live references: JavaScript's objects in Python, and Python's in JavaScript."""

from __future__ import annotations

import asyncio
import atexit
import copy
import functools
import gc
import inspect
import io
import pickle
import pprint
import pydoc
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bifrost import JSError, JSObject, Node, RunTimeout


class Thing:
    """An ordinary Python object."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self.parts = {"a": 1}

    def grow(self, by: int, *, twice: bool = False) -> int:
        self.size += by * (2 if twice else 1)
        return self.size

    def __repr__(self) -> str:
        return f"Thing({self.size})"


# -- from Python


def test_require_gives_a_module_whose_functions_work(node: Node) -> None:
    path = node.require("path")
    assert path.join("a", "b") == "a/b"
    assert node.require("path") is path


def test_import_gives_a_module_namespace(node: Node) -> None:
    module = node.import_("node:url")
    assert module.fileURLToPath("file:///tmp/x") == "/tmp/x"
    assert "URL" in dir(module)


def test_properties_are_attributes_and_items(node: Node) -> None:
    thing = node.eval("(class { a = 1; 'b c' = [2]; get d() { return this.a + 1; } })")()
    assert thing.a == 1
    assert thing["b c"] == [2]
    assert thing.d == 2
    thing.a = 5
    thing["e"] = {"x": None}
    assert (thing.d, thing.e) == (6, {"x": None})
    del thing.a
    assert "a" not in thing
    with pytest.raises(AttributeError, match="'a'"):
        _ = thing.a
    with pytest.raises(KeyError):
        _ = thing["a"]
    assert {"d", "e", "to_py"} <= set(dir(thing))
    assert thing.to_py() == {"b c": [2], "e": {"x": None}}


def test_methods_keep_their_object_and_functions_their_identity(node: Node) -> None:
    counter = node.eval("new (class Counter { n = 0; add(k = 1) { this.n += k; return this; } })()")
    assert counter.add() is counter
    add = counter.add
    add(10)
    assert counter.n == 11
    assert counter.add == add
    same = node.eval("(f, g) => f === g")
    assert same(counter.add, counter.add) is True


def test_classes_construct_and_tell_their_instances(node: Node) -> None:
    shape = node.eval("class Shape { constructor(n) { this.n = n; } }; Shape")
    square = shape(4)
    assert isinstance(square, shape)
    assert not isinstance(node.eval("new URL('http://x/')"), shape)
    assert not isinstance(5, shape)
    old_style = node.eval("(function Old(n) { this.n = n; })")
    assert old_style.new(3).n == 3


def test_containers(node: Node) -> None:
    view = node.eval("new URLSearchParams('a=1&b=2')")
    assert [list(pair) for pair in view] == [["a", "1"], ["b", "2"]]
    assert len(view) == 2
    assert "a" in view
    assert "z" not in view
    generator = node.eval("(function* () { try { yield 1; yield 2; } finally { closed = true; } })")
    assert list(generator()) == [1, 2]
    for _ in generator():
        break
    gc.collect()
    assert node.eval("closed") is True
    with pytest.raises(TypeError, match="no length"):
        len(generator())
    with pytest.raises(TypeError, match="not iterable"):
        iter(node.eval("new (class {})()"))


def test_repr_shows_the_value(node: Node) -> None:
    assert repr(node.eval("(function add(a, b) {})")) == "<JavaScript function: [Function: add]>"
    assert "size: 3" in repr(node.eval("new (class Box { size = 3 })()"))


def test_the_same_object_is_the_same_proxy(node: Node) -> None:
    made = node.run("const one = new (class {})(); const list = [one, one];")
    assert made["list"][0] is made["list"][1] is made["one"] is node.eval("one")
    assert node.eval("(x) => x === one")(made["one"]) is True


def test_with_disposes(node: Node) -> None:
    with node.eval("new (class { open = true; close() { this.open = false; } })()") as handle:
        assert handle.open is True
    assert handle.open is False


def test_functions_take_options_and_python_functions(node: Node) -> None:
    describe = node.eval("(name, options) => `${name} ${options.size} ${options.map(3)}`")
    assert describe("x", size=2, map=lambda n: n * 2) == "x 2 6"


def test_promises(node: Node) -> None:
    later = node.eval(
        "(async (x) => { await null; if (x < 0) throw new RangeError('low'); return x * 2; })"
    )
    assert later(4).result() == 8
    with pytest.raises(JSError, match="RangeError: low"):
        later(-1).result()
    never = node.eval("() => new Promise(() => {})")()
    with pytest.raises(RunTimeout):
        never.result(timeout=0.2)
    assert later(1).result() == 2

    async def main() -> None:
        assert await later(5) == 10
        assert await asyncio.gather(*map(later, range(20))) == [2 * n for n in range(20)]
        with pytest.raises(JSError, match="low"):
            await later(-1)

    asyncio.run(main())


def test_async_iteration(node: Node) -> None:
    async def main() -> None:
        ticks = node.eval(
            "(async function* (n) { for (let i = 0; i < n; i++) { await null; yield i; } })"
        )
        assert [n async for n in ticks(3)] == [0, 1, 2]
        stream = node.eval("require('stream').Readable.from(['a', 'b'])")
        assert [chunk async for chunk in stream] == ["a", "b"]

    asyncio.run(main())


def test_items_of_a_map_and_of_an_array(node: Node) -> None:
    made = node.run(
        "const map = bifrost.proxy(new Map([['a', 1], [2, 'b']]));"
        "const array = bifrost.proxy([1, 2, 3, 4]);"
    )
    entries, array = made["map"], made["array"]
    assert (entries["a"], entries[2]) == (1, "b")
    entries["c"] = 3
    del entries["a"]
    assert "a" not in entries
    assert entries.size == len(entries) == 2
    for missing in (lambda: entries["a"], lambda: entries.__delitem__("a")):
        with pytest.raises(KeyError):
            missing()
    assert (array[-1], array[1:3], array[::-2]) == (4, [2, 3], [4, 2])
    array[-1] = 5
    del array[0]
    assert array.to_py() == [2, 3, 5]
    assert list(reversed(array)) == [5, 3, 2]
    for missing in (lambda: array[9], lambda: array.__delitem__(9)):
        with pytest.raises(IndexError):
            missing()


def test_symbols_are_keys(node: Node) -> None:
    symbol = node.eval("Symbol('s')")
    thing = node.eval("new (class {})()")
    thing[symbol] = 5
    assert thing[symbol] == 5
    assert symbol in thing
    del thing[symbol]
    assert symbol not in thing


def test_identity_and_hash(node: Node) -> None:
    thing = node.eval("new (class { f() {} })()")
    assert thing == thing
    assert thing != node.eval("new (class {})()")
    assert {thing: 1}[thing] == 1
    assert thing.f == thing.f
    assert len({thing.f, thing.f}) == 1
    assert bool(thing) is True
    assert bool(node.eval("bifrost.proxy([])")) is True  # as in JavaScript


def test_disposables_of_either_kind(node: Node) -> None:
    later = (
        "new (class { open = true; async [Symbol.asyncDispose]() {"
        " await null; this.open = false; } })()"
    )
    with node.eval(later) as handle:
        assert handle.open is True
    assert handle.open is False

    async def main() -> None:
        async with node.eval(later) as handle:
            assert handle.open is True
        assert handle.open is False
        async with node.eval("new (class { open = true; close() { this.open = false; } })()") as it:
            pass
        assert it.open is False

    asyncio.run(main())
    with pytest.raises(JSError, match="nothing to dispose of"), node.eval("new (class {})()"):
        pass


def test_a_reference_is_neither_pickled_nor_copied_in_silence(node: Node) -> None:
    thing = node.eval("new (class Box { size = 3 })()")
    for operation in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="to_py"):
            operation(thing)
    assert copy.deepcopy(thing.to_py()) == {"size": 3}


def test_what_looks_at_objects_does_not_break(node: Node) -> None:
    thing = node.eval("new (class Box { size = 3; area() {} })()")
    add = node.eval("(function add(a, b) { return a + b; })")
    assert "size: 3" in pprint.pformat({"box": thing})
    assert pydoc.render_doc(thing)
    assert pydoc.render_doc(add)
    assert str(inspect.signature(add)).startswith("(*arguments")
    assert add.__name__ == "add"
    assert functools.partial(add, 1)(2) == 3
    assert not hasattr(thing, "_repr_html_")
    assert not hasattr(thing, "__array__")
    assert callable(add)
    assert not callable(thing)
    assert inspect.isawaitable(node.eval("[Promise.resolve(1)]")[0])


@pytest.mark.parametrize("jedi", [False, True])
def test_completion_in_ipython(node: Node, jedi: bool) -> None:
    from IPython.core.completer import provisionalcompleter
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.Completer.use_jedi = jedi
    shell.user_ns["box"] = node.eval("new (class Box { size = 3; 'odd key' = 1; area() {} })()")
    shell.user_ns["add"] = node.eval("(function add() {})")

    def complete(text: str) -> set[str]:
        with provisionalcompleter():
            found = shell.Completer.completions(text, len(text))
            return {one.text.lstrip(".") for one in found}

    assert complete("box.") == {"area", "size", "to_py"}
    assert complete("box.ar") == {"area"}
    assert "odd key" in complete("box['")
    assert "new" in complete("add.")
    assert shell.display_formatter.format(shell.user_ns["box"])[0].keys() == {"text/plain"}
    shell.user_ns.clear()
    shell.atexit_operations()
    atexit.unregister(shell.atexit_operations)


def test_an_object_of_another_node(node: Node) -> None:
    with Node(node_options=["--expose-gc"]) as other:
        double = other.eval("(n) => n * 2")
        box = other.eval("new (class { size = 3 })()")
        promise = other.eval("(async () => 5)")()
        made = node.run(
            "const seen = [double(4), box.size, await promise]; const back = box;",
            {"double": double, "box": box, "promise": promise},
        )
        assert made["seen"] == [8, 3, 5]
        assert made["back"] is box


# -- from JavaScript


def test_a_python_function_is_synchronous(node: Node) -> None:
    made = node.run(
        "const sorted = [3, 1, 2].sort(compare);"
        "const doubled = [1, 2].map(n => double(n));"
        "const text = JSON.stringify({a: 1, b: 'x'}, replace);",
        {
            "compare": lambda a, b: a - b,
            "double": lambda n: n * 2,
            "replace": lambda key, value: value if value != 1 else 100,
        },
    )
    assert made["sorted"] == [1, 2, 3]
    assert made["doubled"] == [2, 4]
    assert made["text"] == '{"a":100,"b":"x"}'


def test_a_python_function_is_a_function(node: Node) -> None:
    def three(a: Any, b: Any, c: Any = None) -> list[Any]:
        return [a, b, c]

    made = node.run(
        "const facts = [typeof f, f.length, f.name, f instanceof Function];"
        "const called = [f.call(null, 1, 2), f.apply(null, [1, 2, 3]), f.bind(null, 7)(8)];",
        {"f": three},
    )
    assert made["facts"] == ["function", 2, "three", True]
    assert made["called"] == [[1, 2, None], [1, 2, 3], [7, 8, None]]


def test_a_python_object_has_attributes_methods_and_identity(node: Node) -> None:
    thing = Thing(3)
    made = node.run(
        "const seen = [t.size, 'size' in t, t.missing, t.parts.a, t.grow(2)];"
        "seen.push(Object.keys(t).includes('size'));"
        "t.size = 10; const grown = t.grow(1, bifrost.kwargs({twice: true}));"
        "const back = t; const text = `${t}`; console.log(t);",
        {"t": thing},
    )
    assert made["seen"] == [3, True, _undefined(), 1, 5, True]
    assert (made["grown"], thing.size) == (12, 12)
    assert made["back"] is thing
    assert made["text"] == "Thing(12)"


def _undefined() -> Any:
    from bifrost import undefined

    return undefined


def test_iterables_and_generators(node: Node) -> None:
    closed = []

    def count() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    made = node.run(
        "const first = []; for (const n of numbers) { if (n > 2) break; first.push(n); }"
        "const all = [...letters];",
        {"numbers": count(), "letters": iter("abc")},
    )
    assert made["first"] == [0, 1, 2]
    assert made["all"] == ["a", "b", "c"]
    assert closed == [True]


def test_async_functions_are_promises(node: Node) -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(0.01)
        if n < 0:
            raise ValueError("negative")
        return n + 1

    made = node.run(
        "const isPromise = slow(1) instanceof Promise;"
        "const sums = await Promise.all([slow(1), slow(2)]);"
        "let failed; try { await slow(-1); }"
        "catch (error) { failed = `${error.name}: ${error.message}`; }",
        {"slow": slow},
    )
    assert made["isPromise"] is True
    assert made["sums"] == [2, 3]
    assert made["failed"] == "ValueError: negative"


def test_async_generators(node: Node) -> None:
    async def ticks() -> Any:
        for n in range(3):
            await asyncio.sleep(0)
            yield n

    assert node.run(
        "const got = []; for await (const n of ticks) got.push(n);", {"ticks": ticks()}
    )["got"] == [0, 1, 2]


def test_a_python_object_passes_for_a_javascript_object(node: Node) -> None:
    thing = Thing(3)
    seen = node.run(
        "const seen = ["
        " Object.keys(t), JSON.stringify(t), { ...t }, Object.hasOwn(t, 'size'),"
        " t.valueOf() === t, t.hasOwnProperty('size'), delete t.nope, 'grow' in t,"
        " t.grow === t.grow, t.constructor === Kind, t instanceof Kind, {} instanceof Kind,"
        " new Kind(5).size, Kind.name, Object.keys(f), [5].map(f)[0], typeof t[Symbol.dispose] ];",
        {"t": thing, "Kind": Thing, "f": lambda n: n + 1},
    )["seen"]
    assert seen[:4] == [
        ["size", "parts"],
        '{"size":3,"parts":{"a":1}}',
        {"size": 3, "parts": {"a": 1}},
        True,
    ]
    assert seen[4:] == [
        *(True, True, True, True, True, True, True, False),
        *(5, "Thing", [], 6, "undefined"),
    ]
    with pytest.raises(JSError, match="frozen"):
        node.run("Object.freeze(t)", {"t": thing})


def test_a_python_object_is_no_thenable(node: Node) -> None:
    thing = Thing()
    thing.then = lambda *_: None  # type: ignore[attr-defined]
    made = node.run("const got = await t; const same = got === t;", {"t": thing})
    assert made["same"] is True


def test_what_is_printed_is_readable(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    node.run("console.log(t, [t], { a: { b: t } }, `${t}`);", {"t": Thing(3)})
    shown = "[Python Thing(3)]"
    assert capfd.readouterr().out == f"{shown} [ {shown} ] {{ a: {{ b: {shown} }} }} Thing(3)\n"


def test_numbers_and_lengths_of_objects(node: Node) -> None:
    from collections import deque
    from fractions import Fraction

    assert node.eval("[+half, d.length, d[1]]", {"half": Fraction(1, 2), "d": deque("ab")}) == [
        0.5,
        2,
        "b",
    ]


class Manager:
    """Notes how it is entered and left; swallows a KeyError."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __enter__(self) -> str:
        self.log.append("in")
        return "value"

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.log.append(kind.__name__ if kind else "out")
        return kind is KeyError


class AsyncManager:
    """The same for coroutines."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def __aenter__(self) -> str:
        self.log.append("in")
        return "value"

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.log.append(kind.__name__ if kind else "out")


def test_context_managers(node: Node) -> None:
    manager = Manager()

    def fail() -> None:
        raise KeyError("swallowed")

    made = node.run(
        "const got = bifrost.with(m, (value) => `${value}!`);"
        "const none = bifrost.with(m, () => fail());"
        "const later = await bifrost.with(m, async (value) => { await null; return value; });"
        "let message; try { bifrost.with(m, () => { throw new Error('mine'); }); }"
        "catch (error) { message = error.message; }"
        "m[Symbol.dispose]();",
        {"m": manager, "fail": fail},
    )
    assert (made["got"], made["later"], made["message"]) == ("value!", "value", "mine")
    assert made["none"] == _undefined()
    left = manager.log[1::2]
    assert manager.log[::2] == ["in"] * 4 + ["out"]
    assert left == ["out", "KeyError", "out", "JSError"]


def test_using_leaves_a_context_manager(node: Node) -> None:
    try:
        node.eval("{ using nothing = null; }")
    except JSError:
        pytest.skip("this Node.js has no `using`")
    manager = Manager()
    node.run("{ using it = m; it.log.length; }", {"m": manager})
    assert manager.log == ["out"]


def test_asynchronous_context_managers(node: Node) -> None:
    manager = AsyncManager()
    made = node.run(
        "const got = await bifrost.with(m, async (value) => value);"
        "let message; try { await bifrost.with(m, () => { throw new Error('mine'); }); }"
        "catch (error) { message = error.message; }",
        {"m": manager},
    )
    assert (made["got"], made["message"]) == ("value", "mine")
    assert manager.log == ["in", "out", "in", "JSError"]


def test_a_generator_is_an_iterator(node: Node) -> None:
    async def later() -> Any:
        yield 1

    assert node.eval(
        "[g.next(), g.next(), g.next().done, (await a.next()).value]",
        {"g": iter("ab"), "a": later()},
    ) == [{"done": False, "value": "a"}, {"done": False, "value": "b"}, True, 1]


def test_python_modules(node: Node) -> None:
    assert node.eval("bifrost.python('math').sqrt(16)") == 4
    assert node.eval("bifrost.python('json').dumps([1, null])") == "[1, null]"
    with pytest.raises(ModuleNotFoundError):
        node.eval("bifrost.python('no_such_module_here')")


def test_events(node: Node) -> None:
    emitter = node.require("events").new()
    seen: list[Any] = []
    emitter.on("data", seen.append)
    for n in range(3000):
        emitter.emit("data", n)
    assert seen == list(range(3000))


def test_a_listener_can_be_removed(node: Node) -> None:
    emitter = node.require("events").new()
    seen: list[int] = []

    def listen(n: int) -> None:
        seen.append(n)

    emitter.on("x", listen)
    emitter.emit("x", 1)
    emitter.off("x", listen)
    emitter.emit("x", 2)
    assert seen == [1]
    assert emitter.listenerCount("x") == 0


# -- both ways


def test_calls_nest(node: Node) -> None:
    down = node.eval("(f, n) => n === 0 ? 0 : 1 + f(n - 1)")

    def up(n: int) -> Any:
        return down(up, n)

    assert down(up, 40) == 40


def test_endless_recursion_is_an_error_and_state_survives(node: Node) -> None:
    again = node.eval("(f, n) => f(n + 1)")

    def forever(n: int) -> Any:
        return again(forever, n)

    for _ in range(3):
        with pytest.raises((RecursionError, JSError), match=r"recursion|call stack"):
            again(forever, 0)
        assert node.eval("1 + 1") == 2


def test_the_original_exception_comes_back(node: Node) -> None:
    original = LookupError("mine")

    def fail() -> None:
        raise original

    with pytest.raises(LookupError) as caught:
        node.run(
            "try { fail(); } catch (error) { seen = [error.name, error.message]; throw error; }",
            {"fail": fail},
        )
    assert caught.value is original
    assert node.eval("seen") == ["LookupError", "mine"]


def test_the_original_javascript_error_comes_back(node: Node) -> None:
    def relay(f: Callable[[], Any]) -> Any:
        return f()

    assert (
        node.run(
            "const mine = new TypeError('t'); let same = false;"
            "try { relay(() => { throw mine; }); } catch (error) { same = error === mine; }",
            {"relay": relay},
        )["same"]
        is True
    )


def test_a_promise_cannot_be_waited_for_inside_a_synchronous_callback(node: Node) -> None:
    later = node.eval("(async () => 1)")
    with pytest.raises(JSError, match="async def"):
        node.run("f()", {"f": lambda: later().result()})
    assert later().result() == 1


def test_timers_call_python_when_nobody_waits(node: Node) -> None:
    called = threading.Event()
    names = []

    def tick() -> None:
        names.append(threading.current_thread().name)
        called.set()

    node.run("setTimeout(() => tick(), 20);", {"tick": tick})
    assert called.wait(10)
    assert names == ["bifrost-worker"]


def test_callbacks_run_in_the_thread_that_waits(node: Node) -> None:
    seen = []
    node.run(
        "await new Promise(r => setTimeout(r, 20)); f();",
        {"f": lambda: seen.append(threading.current_thread())},
    )
    assert seen == [threading.current_thread()]


def test_a_server_whose_handlers_are_python(node: Node) -> None:
    def handle(request: Any, response: Any) -> None:
        response.writeHead(200, {"Content-Type": "text/plain"})
        response.end(f"{request.method} {request.url}")

    made = node.run(
        "const server = require('http').createServer((q, s) => handle(q, s));"
        "await new Promise(done => server.listen(0, '127.0.0.1', done));"
        "const port = server.address().port;",
        {"handle": handle},
    )
    for n in range(50):
        with urllib.request.urlopen(f"http://127.0.0.1:{made['port']}/{n}", timeout=10) as reply:
            assert reply.read() == f"GET /{n}".encode()
    made["server"].close()


def test_a_stream_through_a_python_generator(node: Node) -> None:
    total = 8 << 20
    chunk = bytes(64 << 10)

    def source() -> Iterator[bytes]:
        for _ in range(total // len(chunk)):
            yield chunk

    counted = node.run(
        "let n = 0; const {Readable, Writable} = require('stream');"
        "const sink = new Writable({write(c, e, done) { n += c.length; done(); }});"
        "await require('stream/promises').pipeline(Readable.from(source), sink);",
        {"source": source()},
    )
    assert counted["n"] == total


def test_threads_with_nested_callbacks(node: Node) -> None:
    twice = node.eval("(f, n) => f(n) + f(n)")
    failures: list[Any] = []

    def work(base: int) -> None:
        for n in range(150):
            if twice(lambda x: x * base, n) != 2 * n * base:
                failures.append((base, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)


def test_interrupting_a_call(node: Node) -> None:
    spin = node.eval("() => { for (;;); }")
    with pytest.raises(RunTimeout):
        spin._ask("call", spin, None, [], timeout=0.3)
    assert node.eval("1 + 1") == 2


def test_references_are_freed_on_both_sides(node: Node) -> None:
    make = node.eval("() => new (class {})()")
    call = node.eval("(f) => f(1)")
    before = _settled_counts(node)
    for n in range(2000):
        make()
        call(lambda x, n=n: x + n)
    after = _settled_counts(node)
    assert after == before


def _settled_counts(node: Node) -> tuple[Any, Any]:
    """What each side holds, once the garbage collectors of both have had their say."""
    session = node._session
    assert session is not None
    last: Any = None
    for _ in range(50):
        gc.collect()
        node.run("gc(); await new Promise(r => setTimeout(r, 5));")
        now = (session.exchange.counts, session.call("counts"))
        if now == last:
            return now
        last = now
        time.sleep(0.02)
    raise AssertionError(f"does not settle: {last}")


def test_an_object_of_a_node_that_ended_says_so() -> None:
    with Node() as other:
        thing = other.eval("new (class {})()")
    assert "has ended" in repr(thing)
    assert isinstance(thing, JSObject)


def test_a_python_file_is_read_from_javascript(node: Node) -> None:
    made = node.run(
        "const text = file.read(); const rest = file.read();", {"file": io.StringIO("hello")}
    )
    assert (made["text"], made["rest"]) == ("hello", "")
