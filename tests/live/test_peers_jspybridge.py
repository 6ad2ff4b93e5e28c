"""What the README, docs/python.md and examples of JSPyBridge's `javascript` package show, here.

Those documents are at github.com/extremeheat/JSPyBridge. The code is our own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bifrost import JSError, Node

BOT = """
const { EventEmitter } = require('node:events');

class Bot extends EventEmitter {
  position = { x: 0, y: 64, z: 0 };
  said = [];
  inventory = new Map([['stone', 3]]);
  constructor(options) {
    super();
    this.username = options.username ?? 'nobody';
    this.home = options.home ?? null;
  }
  connect() { setImmediate(() => this.emit('spawn')); }
  hear(sender, ...words) { this.emit('chat', sender, words.join(' ')); }
  chat(text) { this.said.push(text); }
  walk(steps) {
    for (let n = 1; n <= steps; n++) {
      this.position.x = n;
      this.emit('move', n, this);
    }
    this.emit('arrived', { x: steps });
  }
  static protocol() { return 7; }
}

module.exports = { Bot, createBot: (options) => new Bot(options) };
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bots(folder: Path, node: Node) -> Callable[[], Any]:
    """Requires the module of bots()."""
    (folder / "bot.js").write_text(BOT)
    return lambda: node.require("./bot.js")


class TestImports:
    def test_a_file_beside_the_program_is_required(self, folder: Path, node: Node) -> None:
        (folder / "clock.js").write_text(
            "module.exports = { year: (ms) => new Date(ms).getUTCFullYear() };"
        )
        assert node.require("./clock.js").year(0) == 1970

    def test_a_file_of_es_modules_is_imported(self, folder: Path, node: Node) -> None:
        (folder / "greet.mjs").write_text(
            "export default 'hello'; export function method(done, salt) { done(40 + salt); }"
        )
        module = node.import_("./greet.mjs")
        heard: list[int] = []
        module.method(heard.append, 2)
        assert (heard, module.default) == ([42], "hello")

    def test_builtin_modules_write_files(self, folder: Path, node: Node) -> None:
        node.require("fs").writeFileSync("HelloWorld.txt", "hi!")
        assert (folder / "HelloWorld.txt").read_text() == "hi!"

    def test_data_modules_are_data(self, folder: Path, node: Node) -> None:
        (folder / "items.js").write_text("module.exports = { items: [5, 6, 7] };")
        assert [item + 1 for item in node.require("./items.js")["items"]] == [6, 7, 8]


class TestGlobals:
    def test_globals_are_properties_of_global_this(self, node: Node) -> None:
        scope = node.eval("globalThis")
        assert scope.Date.new(0).year == 1970
        assert scope.Date.UTC(1970, 0, 2) == 86_400_000
        assert scope.JSON.stringify({"a": [1, None]}) == '{"a":[1,null]}'
        assert scope.Math.max(1, 5, 3) == 5
        scope.answer = 42
        assert node.eval("answer") == 42

    def test_the_console_prints_in_python(
        self, node: Node, capsys: pytest.CaptureFixture[str]
    ) -> None:
        node.eval("console").log("seen", {"a": 1}, [None])
        assert capsys.readouterr().out == "seen { a: 1 } [ null ]\n"

    def test_expressions_see_python_variables(self, node: Node) -> None:
        assert node.eval("left?.x ?? right.x", {"left": {}, "right": {"x": 3}}) == 3

    def test_what_javascript_changed_is_in_the_result(self, node: Node) -> None:
        words, table = [1], {"hello": ""}
        made = node.run(
            "table.hello = 'world'; for (let n = 0; n < limit; n++) words.push(n);"
            " const done = 'it worked';",
            {"words": words, "table": table, "limit": 3},
        )
        assert (made["done"], made["words"], made["table"]) == (
            "it worked",
            [1, 0, 1, 2],
            {"hello": "world"},
        )
        assert (words, table) == ([1], {"hello": ""})  # lists and dicts are copies


class TestClasses:
    def test_a_class_is_called_and_takes_options_and_callbacks(self, node: Node) -> None:
        demo_class = node.eval(
            "class Demo { constructor(colour, { size }, done) { this.colour = colour;"
            " done(size); } static hello() { return 'world'; } toString() { return '123!'; }"
            " adder() { return Object.assign((a, b, c) => a + b + c, { x: 'wow' }); } }; Demo"
        )
        seen: list[int] = []
        for demo in (
            demo_class("blue", {"size": 3}, seen.append),
            demo_class.new("red", {}, print),
        ):
            assert isinstance(demo, demo_class)
        assert seen == [3]
        assert demo.toString() == "123!"
        assert demo.adder()(1, 2, 3) == 6
        assert demo.adder().x == "wow"
        assert demo_class.hello() == "world"

    def test_an_old_style_class_has_new(self, folder: Path, node: Node) -> None:
        (folder / "old.js").write_text(
            "function Counted(n) { this.count = () => n; }\nmodule.exports = { Counted };"
        )
        assert node.require("./old.js").Counted.new(3).count() == 3

    def test_properties_are_read_set_and_deleted(self, bots: Callable[[], Any]) -> None:
        bot = bots().Bot(username="steve")
        assert bot.username == "steve"
        bot.username = "alex"
        bot["favourite block"] = "dirt"
        assert (bot.username, bot["favourite block"]) == ("alex", "dirt")
        del bot.username
        assert not hasattr(bot, "username")
        assert "home" in bot
        assert bots().Bot.protocol() == 7
        assert (bot.home, bot.inventory) == (None, {"stone": 3})

    def test_a_method_is_replaced_in_an_object_or_in_its_class(
        self, bots: Callable[[], Any]
    ) -> None:
        kind = bots().Bot
        one, two = kind({"username": "one"}), kind({"username": "two"})
        heard: list[str] = []
        one.chat = lambda text: heard.append(f"one: {text}")
        kind.prototype.chat = lambda text: heard.append(f"any: {text}")
        one.chat("a")
        two.chat("b")
        assert heard == ["one: a", "any: b"]
        del kind.prototype.chat  # the module stays loaded

    def test_a_python_class_that_would_extend_one_is_told_what_to_do(self, node: Node) -> None:
        with pytest.raises(TypeError, match="extend it in JavaScript"):

            class Mine(node.require("events")):  # type: ignore[misc]
                pass

    def test_nested_data_is_a_copy_until_it_is_assigned(self, node: Node) -> None:
        demo = node.eval("new (class { arr = [1, 2, 3]; at(i) { return this.arr[i]; } })()")
        numbers = demo.arr
        numbers[1] = 5
        assert demo.at(1) == 2
        demo.arr = numbers
        assert demo.at(1) == 5

    def test_what_an_object_holds_is_shown(self, bots: Callable[[], Any]) -> None:
        shown = repr(bots().Bot(username="steve"))
        assert "Bot" in shown
        assert "username: 'steve'" in shown


class TestIteration:
    def test_iterables_are_iterated(self, node: Node) -> None:
        assert list(node.eval("new Set(['a', 'b']).values()")) == ["a", "b"]
        assert [key for key in node.eval("({ x: 2, y: 3 })")] == ["x", "y"]  # noqa: C416
        assert list(node.eval("new Map([['a', 3]]).entries()")) == [["a", 3]]

    def test_async_iterables_are_iterated_in_a_coroutine(self, folder: Path, node: Node) -> None:
        async def main() -> list[str]:
            return [chunk async for chunk in node.require("fs").createReadStream("f", "utf8")]

        Path("f").write_text("lines\n" * 30_000)
        chunks = asyncio.run(main())
        assert len(chunks) > 1
        assert "".join(chunks) == "lines\n" * 30_000


class TestEvents:
    def test_a_listener_stops_listening_from_inside(self, bots: Callable[[], Any]) -> None:
        bot = bots().Bot(username="x")
        seen: list[int] = []

        def on_move(n: int, who: Any) -> None:
            assert who is bot
            seen.append(n)
            if n == 3:
                bot.off("move", on_move)

        bot.on("move", on_move)
        bot.walk(10)
        assert seen == [1, 2, 3]
        assert bot.listenerCount("move") == 0

    def test_once_is_called_once(self, bots: Callable[[], Any]) -> None:
        bot = bots().Bot(username="x")
        seen: list[Any] = []
        bot.once("move", lambda *values: seen.append(values[0]))
        bot.walk(5)
        assert seen == [1]

    def test_an_event_is_a_promise(self, node: Node, bots: Callable[[], Any]) -> None:
        once = node.require("events").once
        bot = bots().Bot(username="x")
        arrived = once(bot, "arrived")
        bot.walk(4)
        assert arrived.result() == [{"x": 4}]

    def test_a_bot_of_thousands_of_events_is_answered(self, bots: Callable[[], Any]) -> None:
        steps = 5000
        spawned = threading.Event()
        bot = bots().createBot({"username": "python"})
        bot.once("spawn", spawned.set)
        bot.connect()
        assert spawned.wait(60)
        where: list[int] = []

        def on_move(n: int, who: Any) -> None:
            where.append(n)
            if n % 50 == 0:
                who.chat(f"step {n} of {who.username}")

        def on_chat(sender: str, message: str) -> None:
            if sender != bot.username:
                bot.chat(f"hi, you said {message}")

        bot.on("move", on_move)
        bot.on("chat", on_chat)
        bot.walk(steps)
        bot.hear("steve", "come", "here")
        bot.hear("python", "no echo")
        assert where == list(range(1, steps + 1))
        said = bot.said
        assert len(said) == steps // 50 + 1
        assert (said[0], said[-1]) == ("step 50 of python", "hi, you said come here")
        bot.removeAllListeners()

    def test_events_come_while_python_does_something_else(self, node: Node) -> None:
        done = threading.Event()
        seen: list[int] = []

        def on_tick(n: int) -> None:
            seen.append(n)
            if len(seen) == 500:
                done.set()

        emitter = node.require("events").new()
        emitter.on("tick", on_tick)
        node.run(
            "let n = 0; const timer = setInterval(() => {"
            " for (let k = 0; k < 50; k++) emitter.emit('tick', n++);"
            " if (n >= 500) clearInterval(timer); }, 1);",
            {"emitter": emitter},
        )
        assert done.wait(60)
        assert seen == list(range(500))


class TestCallsAndThreads:
    def test_a_callback_gets_what_javascript_made(self, node: Node) -> None:
        later = node.eval("async (done) => { done('It works !', () => 3, { a: { y: 1 } }); }")
        got: list[Any] = []
        later(lambda *values: got.extend(values)).result()
        assert (got[0], got[1](), got[2]) == ("It works !", 3, {"a": {"y": 1}})

    def test_long_work_runs_in_a_thread_until_it_is_told_to_stop(self, node: Node) -> None:
        beats, stop = [], threading.Event()
        tick = node.eval("(n) => n + 1")

        def routine() -> None:
            while not stop.is_set():
                beats.append(tick(len(beats)))

        thread = threading.Thread(target=routine)
        thread.start()
        while len(beats) < 20:
            node.eval("1")
        stop.set()
        thread.join(60)
        assert beats == list(range(1, len(beats) + 1))

    def test_a_callback_may_block_while_other_threads_call_javascript(self, node: Node) -> None:
        # JSPyBridge has one thread for all callbacks, which must not block.
        inside, free = threading.Event(), threading.Event()

        def block() -> None:
            inside.set()
            free.wait(60)

        call, double = node.eval("(f) => f()"), node.eval("(n) => n * 2")
        blocked = threading.Thread(target=call, args=(block,))
        blocked.start()
        assert inside.wait(60)
        answers = [double(n) for n in range(5)]
        free.set()
        blocked.join(60)
        assert answers == [0, 2, 4, 6, 8]

    def test_errors_are_caught_with_their_stack(self, node: Node) -> None:
        demo = node.eval("new (class { fail() { throw Error('This should fail'); } })()")
        with pytest.raises(JSError, match="This should fail") as caught:
            demo.fail()
        assert "at Demo" in caught.value.stack or "fail" in caught.value.stack

    def test_what_is_thrown_need_not_be_an_error(self, node: Node) -> None:
        with pytest.raises(JSError) as caught:
            node.eval("throw { 'non error': 'object' }")
        assert caught.value.value == {"non error": "object"}


class TestValues:
    def test_null_and_bigints(self, node: Node) -> None:
        assert node.eval("null") is None
        assert node.eval("100000n") == 100000
        assert node.eval("2n ** 100n") == 2**100

    def test_plain_data_is_copied_out_of_an_object(self, node: Node) -> None:
        box = node.eval("new (class { arr = [1, { b: new Map([[1, 2]]) }]; go() {} })()")
        assert box.to_py() == {"arr": [1, {"b": {1: 2}}]}

    @pytest.mark.parametrize("text", ["", "plain", "a\nb\n", *("\n" * n for n in (1, 2, 10))])
    def test_a_buffer_is_bytes(self, node: Node, text: str) -> None:
        assert node.eval("Buffer")["from"](text, "utf-8") == text.encode()

    def test_a_large_buffer_is_bytes(self, folder: Path, node: Node) -> None:
        data = bytes(range(256)) * 8192
        (folder / "blob").write_bytes(data)
        assert node.require("fs").readFileSync("blob") == data


def test_a_new_process_begins_clean(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    first = node.info["pid"]
    node.run("console.log('first'); kept = 1")
    node.restart()
    node.run("console.log('second', typeof kept)")
    assert node.info["pid"] != first
    assert capsys.readouterr().out == "first\nsecond undefined\n"
