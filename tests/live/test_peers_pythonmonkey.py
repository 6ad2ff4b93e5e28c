"""What PythonMonkey's README, examples and tests show, on a real Node.js.

Those are at github.com/Distributive-Network/PythonMonkey. The code is our own. There lists and
dicts are shared by reference; here they are copied, and `proxy(x)` shares them.
"""

from __future__ import annotations

import asyncio
import datetime
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import bifrost
from bifrost import JSError, Node, proxy, undefined

ADD_WASM = bytes.fromhex(
    "0061736d 01000000"  # magic, version
    "01 0b 02 60027f7f017f 60017f00"  # types: (i32, i32) -> i32, (i32) -> ()
    "02 0a 01 026576 0374656c 00 01"  # import ev.tel, of the second type
    "03 02 01 00"  # one function, of the first type
    "07 07 01 03616464 00 01"  # export it as add
    "0a 10 01 0e 00 200020016a 1000 200020016a 0b"  # tel(a + b); return a + b
)


class Plain:
    """An object with attributes."""

    def __init__(self) -> None:
        self.a = 42

    def me(self, argument: int) -> list[Any]:
        return [self, argument]


class TestEval:
    def test_functions_of_an_expression(self, node: Node, capsys: Any) -> None:
        node.eval("console.log")("hello, world")
        assert node.eval("() => 'Hello from V8!'")() == "Hello from V8!"
        assert node.eval("(thing) => 'you said ' + thing")("this") == "you said this"
        assert node.eval("(function named() { return 123 })")() == 123
        assert capsys.readouterr().out == "hello, world\n"

    def test_every_kind_of_value_has_its_typeof(self, node: Node) -> None:
        values = [1, 1.5, 2**70, "s", True, None, undefined, {}, [1], len, b"", Plain(), Plain]
        kinds = node.eval("values.map((v) => typeof v)", {"values": values})
        assert " ".join(kinds) == (
            "number number bigint string boolean object undefined"
            " object object function object object function"
        )

    def test_instanceof(self, node: Node) -> None:
        facts = node.eval(
            "[[1] instanceof Array, d instanceof Object, l instanceof Array, o instanceof Object,"
            " s instanceof String, t instanceof Date, f instanceof Function, e instanceof Error,"
            " o instanceof Plain, 5 instanceof Plain]",
            {"d": {}, "l": [], "o": Plain(), "s": "", "t": datetime.datetime.now(), "f": len,
             "e": ValueError(), "Plain": Plain},
        )  # fmt: skip
        assert facts == [True, True, True, True, False, True, True, True, True, False]

    def test_global_this(self, node: Node) -> None:
        scope = node.eval("globalThis")
        scope.fromPython = {"x": 1}
        assert node.eval("fromPython.x") == 1
        assert scope is node.eval("globalThis")
        node.run("globalThis.fromScript = 5")
        assert scope.fromScript == 5

    def test_python_evaluates_javascript_that_evaluates_python(self, node: Node) -> None:
        node.run("globalThis.python = python", {"python": lambda text: eval(text)})
        node.run("globalThis.script = script", {"script": node.eval("(text) => eval(text)")})
        assert node.eval("script(`python(\"'test passed'\")`)") == "test passed"

    @pytest.mark.parametrize(
        "text",
        ["ascii", "latin é", "null\0char", "Ωμέγα", "🐍🐒", "\ud800 alone", "x" * 100_000],
    )
    def test_strings_are_the_same_both_ways(self, node: Node, text: str) -> None:
        assert node.eval("(s) => s")(text) == text
        assert node.eval("(s, n) => Object(s).length === n")(
            text, len(text.encode("utf-16-le", "surrogatepass")) // 2
        )

    def test_numbers(self, node: Node) -> None:
        same = node.eval("(x) => x")
        for number in (0, -1, 2**53, -(2**64), 10**300, 0.5, float("inf")):
            assert same(number) == number
        assert str(same(-0.0)) == "-0.0"
        assert same(float("nan")) != same(float("nan"))
        assert type(node.eval("1.0")) is int


class TestFunctions:
    def test_functions_go_round(self, node: Node) -> None:
        same = node.eval("(f) => f")
        square = node.eval("(x) => x * x")
        assert same(len) is len
        assert same(square) is square
        assert same(lambda x: x + 1)(2) == 3

    def test_higher_order_functions_and_currying(self, node: Node) -> None:
        compose = node.eval("(f, g) => (...args) => f(g(...args))")
        assert compose(lambda x: 2 * x, node.eval("(x) => x * x"))(2) == 8
        curry = node.eval("(f) => (a) => (b) => (c) => f(a, b, c)")
        assert curry(lambda _a, b, _c: b)(1)(2)(3) == 2

    def test_too_many_arguments_are_dropped(self, node: Node) -> None:
        call = node.eval("(f) => f(1, 2, 3)")
        assert call(lambda a, b: [a, b]) == [1, 2]
        assert call(lambda a, b=42, c=43, d=44: [a, b, c, d]) == [1, 2, 3, 44]
        assert call(lambda *args: list(args)) == [1, 2, 3]

    def test_too_few_arguments_are_an_error(self, node: Node) -> None:
        # PythonMonkey passes None for them.
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'"):
            node.eval("(f) => f(1)")(lambda a, b: [a, b])

    def test_map_filter_sort_and_reduce_take_python_functions(self, node: Node) -> None:
        apply = node.eval("(list, method, ...args) => list[method](...args)")
        numbers = [5, 3, 9]
        assert apply(numbers, "map", lambda n: n * 2) == [10, 6, 18]
        assert apply(numbers, "filter", lambda n: n > 3) == [5, 9]
        assert apply(numbers, "sort", lambda a, b: b - a) == [9, 5, 3]
        assert apply(numbers, "reduce", lambda a, b: a + b) == 17
        assert apply(numbers, "findIndex", lambda n: n == 9) == 2

    def test_json_with_a_replacer_and_a_reviver(self, node: Node) -> None:
        json = node.eval("JSON")
        hide = lambda key, value: undefined if key == "password" else value  # noqa: E731
        text = json.stringify({"user": "ada", "password": "x"}, hide)
        assert text == '{"user":"ada"}'
        upper = lambda _, value: value.upper() if isinstance(value, str) else value  # noqa: E731
        assert json.parse(text, upper) == {"user": "ADA"}

    def test_methods_keep_their_self_and_functions_get_this(self, node: Node) -> None:
        thing = Plain()
        script = "[o.me(1), ({ me: o.me }).me(2), (() => { const { me } = o; return me(3); })()]"
        assert node.eval(script, {"o": thing}) == [[thing, 1], [thing, 2], [thing, 3]]
        owner = node.eval("({ name: 'owner', who() { return this.name; } })")
        assert owner.who() == "owner"
        assert node.eval("(f) => f === undefined")(undefined) is True


class TestObjects:
    def test_an_object_is_itself_with_all_that_objects_do(self, node: Node) -> None:
        thing = Plain()
        facts = node.eval(
            "thing.b = 43; [thing.a, thing.b, Object.keys(thing), 'a' in thing, delete thing.b,"
            " thing.b, thing.valueOf() === thing, thing.hasOwnProperty('a'), thing.constructor]",
            {"thing": thing},
        )
        assert facts[:2] == [42, 43]
        assert {"a", "b"} <= set(facts[2])
        assert facts[3:8] == [True, True, undefined, True, True]
        assert not hasattr(thing, "b")
        assert node.eval("(x) => x")(thing) is thing

    def test_destructuring(self, node: Node) -> None:
        script = "(({ a, nothing = 7 }, [first, ...others]) => [a, nothing, first, others])"
        assert node.eval(script)(Plain(), [1, 2, 3]) == [42, 7, 1, [2, 3]]

    def test_lists_and_dicts_are_copies(self, node: Node) -> None:
        numbers = [1, 2]
        assert node.eval("(list) => list.push(3)")(numbers) == 3
        assert numbers == [1, 2]

    def test_lists_and_dicts_are_shared_by_proxy(self, node: Node) -> None:
        numbers, table = [3, 1, 2], {"a": 1}
        node.eval("(list) => { list.push(9); list[0] = 4; list.sort(); }")(proxy(numbers))
        node.eval("(o) => { o.b = [2]; delete o.a; }")(proxy(table))
        assert (numbers, table) == ([1, 2, 4, 9], {"b": [2]})
        assert node.eval("(list) => Array.isArray(list)")(proxy(numbers)) is True

    def test_an_object_of_javascript_is_shared_by_proxy(self, node: Node) -> None:
        data = node.eval("const data = { a: 1, list: [1] }; bifrost.proxy(data)")
        data.a = 5
        data.list.push(2)
        assert node.eval("data") == {"a": 5, "list": [1, 2]}

    def test_dates(self, node: Node) -> None:
        moment = datetime.datetime(2222, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
        assert node.eval("(d) => d.getTime()")(moment) == moment.timestamp() * 1000
        assert node.eval("new Date(Date.UTC(2222, 1, 3, 4, 5, 6))") == moment

    def test_buffers_are_shared_memory(self, node: Node) -> None:
        shared = bifrost.asarray([104, 101, 108], dtype="uint8")
        node.eval("(x) => { x.typedArray[2] = 55; }")(shared)
        assert shared.tolist() == [104, 101, 55]


class TestPromises:
    def test_async_functions_are_awaited(self, node: Node) -> None:
        async def main() -> None:
            assert await node.eval("async (x) => await x")(asyncio.sleep(0.01, 5)) == 5
            assert await node.eval("() => new Promise((r) => setTimeout(r, 5, 'abc'))")() == "abc"
            assert (await node.eval("async (f) => (x) => f(x)")(abs))(-3) == 3
            with pytest.raises(JSError) as caught:
                await node.eval("async () => { throw 123 }")()
            assert caught.value.value == 123

        asyncio.run(main())

    def test_coroutines_tasks_and_futures_are_promises(self, node: Node) -> None:
        async def nested() -> Any:
            return 7

        async def main() -> None:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            loop.call_later(0.01, future.set_result, 2561)
            task = loop.create_task(asyncio.sleep(0.01, "from a task"))
            is_promise = node.eval("(p) => p instanceof Promise")
            same = node.eval("async (p) => p")
            assert [is_promise(future), is_promise(task)] == [True, True]
            assert await same(future) == 2561
            assert await same(task) == "from a task"
            assert await same(nested()) == 7

        asyncio.run(main())

    def test_exceptions_of_coroutines_are_caught(self, node: Node) -> None:
        class Failure(Exception):
            def __init__(self, text: str, code: int) -> None:
                super().__init__(text)
                self.code = code

        async def fail() -> None:
            raise Failure("reason", 42)

        # Its attributes are asked of Python, where it still is.
        script = """
            const { getattr } = bifrost.python('builtins');
            fail().catch((e) => [e.name, e.message, getattr(e, 'code'), e instanceof Error]);
        """
        assert node.eval(script, {"fail": fail}) == ["Failure", "reason", 42, True]

        async def main() -> None:
            with pytest.raises(Failure) as caught:
                await node.eval("async (f) => await f()")(fail)
            assert caught.value.code == 42

        asyncio.run(main())

    def test_timers_of_python_functions(self, node: Node) -> None:
        seen: list[Any] = []
        enough = threading.Event()

        def tick(*values: Any) -> None:
            seen.append(values)
            if len(seen) == 3:
                enough.set()

        timer = node.eval("setInterval")(tick, 5, "a", 1)
        never = node.eval("setTimeout")(tick, 60_000, "never")
        assert enough.wait(60)
        node.eval("clearInterval")(timer)
        node.eval("clearTimeout")(never)
        assert set(seen) == {("a", 1)}
        assert timer.hasRef() is True
        timer.unref()
        assert timer.hasRef() is False


@pytest.fixture
def web() -> Iterator[str]:
    """A web server, in Python."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f'{{"path": "{self.path}"}}'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch_from_a_local_server(node: Node, web: str) -> None:
    reply = node.eval("fetch")(f"{web}/x", headers={"Connection": "close"}).result()
    assert (reply.status, reply.ok) == (200, True)
    assert reply.json().result() == {"path": "/x"}


def test_web_assembly_calls_python(node: Node) -> None:
    told: list[int] = []
    made = node.eval("WebAssembly").instantiate(ADD_WASM, {"ev": {"tel": told.append}}).result()
    assert made["instance"].exports.add(2, 40) == 42
    assert told == [42]


def test_urls_and_base64(node: Node) -> None:
    url = node.eval("URL")("https://user@example.org:81/a?b=1&b=2#c")
    assert (url.host, url.searchParams.getAll("b")) == ("example.org:81", ["1", "2"])
    assert node.eval("atob(btoa('x'))") == "x"
