"""Errors in both languages: classes by name, identity and both stacks through all crossings."""

from __future__ import annotations

import asyncio
import linecache
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bifrost
from bifrost import JSError, Node
from bifrost.runtime import tracebacks

HERE = "test_errors.py"


def frames(error: BaseException) -> list[tuple[str, int | None, str, str | None]]:
    """File, line, function and source of a traceback's entries, but not Bifrost's own."""
    return [
        (Path(frame.filename).name, frame.lineno, frame.name, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
        if "bifrost/" not in frame.filename.replace("\\", "/")
    ]


def caught(action: Callable[[], Any]) -> Any:
    with pytest.raises(Exception) as info:
        action()
    return info.value


# -- classes by name


@pytest.mark.parametrize(
    ("script", "names", "others"),
    [
        ("null.x", ["TypeError", "Error"], ["RangeError", "Thrown"]),
        ("x.", ["SyntaxError", "Error"], ["TypeError"]),
        ("nowhere", ["ReferenceError"], ["SyntaxError"]),
        ("throw new AggregateError([], 'm')", ["AggregateError", "Error"], []),
        ("throw 5", ["Thrown"], ["Error"]),
        ("class PaymentError extends Error {}; throw new PaymentError('m')",
         ["PaymentError", "Error"], ["TypeError"]),
        ("class AError extends TypeError {}; class BError extends AError {}; throw new BError",
         ["BError", "AError", "TypeError", "Error"], ["CError"]),
        ("throw Object.assign(new Error('m'), {name: 'QuotaError'})", ["QuotaError", "Error"], []),
        ("AbortSignal.abort().throwIfAborted()", ["AbortError", "DOMException"], ["TypeError"]),
        ("require('vm').runInNewContext('null.x')", ["TypeError", "Error"], []),
        ("await Promise.reject(new RangeError('m'))", ["RangeError", "Error"], []),
    ],
)  # fmt: skip
def test_errors_are_caught_by_name(
    node: Node, script: str, names: list[str], others: list[str]
) -> None:
    error = caught(lambda: node.run(script))
    assert isinstance(error, JSError)
    for name in names:
        with pytest.raises(getattr(JSError, name)):
            raise error
    for name in others:
        assert not isinstance(error, getattr(JSError, name))


def test_an_except_clause_takes_the_first_that_matches(node: Node) -> None:
    def which(script: str) -> str:
        try:
            node.run(script)
        except JSError.RangeError:
            return "range"
        except (JSError.TypeError, JSError.AnyOtherError):
            return "type"
        except JSError:
            return "other"
        return "none"

    assert which("null.x") == "type"
    assert which("throw new RangeError") == "range"
    assert which("throw new EvalError") == "other"


def test_naming_a_class_starts_nothing() -> None:
    script = """
import sys, threading
from bifrost import JSError, node
assert JSError.AnyError is JSError.AnyError and issubclass(JSError.AnyError, JSError)
assert not hasattr(JSError, "lower") and not hasattr(JSError, "_Any")
assert not hasattr(JSError.AnyError, "Other")
assert threading.active_count() == 1 and repr(node) == "<bifrost.Node, not started>"
assert repr(JSError.AnyError) == "<class 'bifrost.JSError.AnyError'>"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_made_error_has_its_class_and_survives_pickling(node: Node) -> None:
    made = JSError("TypeError", "mine", properties={"code": "E"})
    assert isinstance(made, JSError.TypeError)
    assert isinstance(made, JSError.Error)
    error = caught(lambda: node.run("class MyError extends TypeError {}; throw new MyError('m')"))
    for one in (made, error):
        again = pickle.loads(pickle.dumps(one))
        assert type(again) is type(one)
        assert (again.name, again.message, again.classes) == (one.name, one.message, one.classes)
        assert again.properties == one.properties


def test_a_python_function_can_raise_a_javascript_error(node: Node) -> None:
    def fail() -> None:
        raise JSError("RangeError", "too low")

    made = node.run(
        "let seen; try { fail(); } catch (e) { seen = [e instanceof RangeError, e.message]; }",
        {"fail": fail},
    )
    assert made["seen"] == [True, "too low"]
    with pytest.raises(JSError.RangeError, match="RangeError: too low"):
        node.run("fail()")


def test_the_text_is_the_name_and_the_message(node: Node) -> None:
    assert str(caught(lambda: node.run("throw new TypeError('m')"))) == "TypeError: m"
    assert str(
        caught(lambda: node.run("class OddError extends Error {}; throw new OddError('m')"))
    ) == ("OddError: m")


# -- identity, and both stacks


def relay(function: Callable[[], Any]) -> Any:
    return function()


def rewrap(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except JSError as error:
        raise LookupError("wrapped in Python") from error


@pytest.mark.parametrize("depth", [1, 2, 5, 20])
def test_a_python_exception_is_itself_after_any_number_of_crossings(node: Node, depth: int) -> None:
    raised = []

    def fail() -> None:
        raised.append(KeyError("mine"))
        raise raised[-1]

    node.run("const down = (relay, f, n) => n ? relay(() => down(relay, f, n - 1)) : f();")
    error = caught(lambda: node.eval("down(relay, fail, depth)",
                                     {"relay": relay, "fail": fail, "depth": depth}))  # fmt: skip
    assert error is raised.pop()  # which JavaScript holds, and must not hold the error
    own = [frame for frame in frames(error) if frame[0] != HERE or frame[2] in ("relay", "fail")]
    kinds = ["python" if frame[0] == HERE else "javascript" for frame in own]
    assert kinds[-1] == "python"
    assert kinds.count("python") == depth + 1
    between = " ".join(kinds).split("python")[:-1]
    assert all("javascript" in part for part in between), "JavaScript is between all of Python's"


@pytest.mark.parametrize("depth", [1, 2, 5, 20])
def test_a_javascript_error_is_itself_after_any_number_of_crossings(node: Node, depth: int) -> None:
    node.run(
        "const mine = new RangeError('mine'); let same = 0;"
        "const fail = () => { throw mine; };"
        "function down(relay, n) {"
        "  try { return n ? relay(() => down(relay, n - 1)) : fail(); }"
        "  catch (error) { same += error === mine; throw error; } }"
    )
    error = caught(lambda: node.eval("down(relay, depth)", {"relay": relay, "depth": depth}))
    assert isinstance(error, JSError.RangeError)
    assert node.eval("same") == depth + 1
    assert [frame[2] for frame in frames(error)].count("relay") == depth
    assert error.stack.count("at relay (") == depth
    assert node.eval("(e) => e === mine")(error) is True


def test_its_python_exception_is_the_same_while_it_lives(node: Node) -> None:
    seen = []

    def look(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except JSError as error:
            seen.append(error)
            raise

    error = caught(lambda: node.run("look(() => look(() => null.x))", {"look": look}))
    assert seen == [error, error]


def test_causes_go_through_both_languages(node: Node) -> None:
    def look(error: BaseException) -> list[str]:
        assert isinstance(error.__cause__, LookupError)
        assert isinstance(error.__cause__.__cause__, JSError.TypeError)
        text = "".join(traceback.format_exception(error))
        return sorted(["TypeError: first", "wrapped in Python", "Error: last"], key=text.index)

    try:  # not `pytest.raises`: what it keeps would be in the traceback of the cause
        node.run(
            "const first = new TypeError('first'); const links = [];"
            "try { rewrap(() => { throw first; }); } catch (second) {"
            "  links.push(second.name, second.cause === first);"
            "  throw new Error('last', {cause: second}); }",
            {"rewrap": rewrap},
        )
    except JSError.Error as error:
        order = look(error)
    assert order == ["TypeError: first", "wrapped in Python", "Error: last"]
    assert node.eval("links") == ["LookupError", True]


def test_endless_recursion_is_the_same_error_everywhere(node: Node) -> None:
    again = node.eval("(f, n) => f(n + 1)")

    def forever(n: int) -> Any:
        return again(forever, n)

    with pytest.raises(RecursionError):
        again(forever, 0)

    def plunge(n: int) -> Any:
        return again(plunge, n - 2) if n > 0 else plunge(n)

    with pytest.raises(RecursionError):
        plunge(20)
    node.run("function over() { return over(); }")
    with pytest.raises(JSError.RangeError, match="call stack"):
        node.run("relay(() => relay(over))", {"relay": relay})


def test_what_is_no_error_is_thrown_as_it_was(node: Node) -> None:
    made = node.run("let got; try { relay(() => { throw 5; }); } catch (e) { got = e; }",
                    {"relay": relay})  # fmt: skip
    assert made["got"] == 5


# -- what a traceback shows


def test_a_traceback_shows_javascript_with_its_source(node: Node) -> None:
    node.run("// earlier\nfunction inner(x) {\n  return x.foo.bar;\n}")
    error = caught(lambda: node.run("const a = 1;\n\ninner(a);"))
    run, script, inner = frames(error)[-3:]
    assert run[0] == HERE
    assert script[1:] == (3, "<module>", "inner(a);")
    assert inner[1:] == (3, "inner", "return x.foo.bar;")
    assert script[0] != inner[0]
    assert "    return x.foo.bar;\n                 ^^^\n" in "".join(
        traceback.format_exception(error)
    )


def test_both_languages_are_interleaved(node: Node) -> None:
    def fail(n: int) -> None:
        raise ValueError(n)

    node.run("function each(f) {\n  return [1].map((x) => f(x));\n}")
    error = caught(lambda: node.run("\neach(fail);", {"fail": fail}))
    assert [(line, name) for _, line, name, _ in frames(error)[-4:-1]] == [
        (2, "<module>"), (2, "each"), (2, "<anonymous>"),
    ]  # fmt: skip
    assert frames(error)[-1][2:] == ("fail", "raise ValueError(n)")
    made = node.run("let text; try { each(fail); } catch (e) { text = [e.stack, e.traceback]; }")
    stack, text = made["text"]
    assert "raise ValueError(n)" in text
    assert "Bifrost" not in text
    assert "bifrost/runtime" not in text
    assert stack.startswith(text)
    assert "at each (run[" in stack


def test_async_errors_have_their_frames(node: Node) -> None:
    node.run("async function later(x) {\n  await null;\n  return x.foo;\n}")
    error = caught(lambda: node.run("\nawait later(null);"))
    assert [frame[1:3] for frame in frames(error)[-2:]] == [
        (2, "<module>"),
        (3, "async later"),
    ] or ([frame[1:3] for frame in frames(error)[-2:]] == [(2, "<module>"), (3, "later")])

    async def main() -> Any:
        await node.eval("later")(None)

    error = caught(lambda: asyncio.run(main()))
    assert frames(error)[-1][1:] == (3, "later", "return x.foo;")


def test_an_awaited_python_function_has_the_frames_of_who_awaits_it(node: Node) -> None:
    async def fail() -> None:
        raise ValueError("x")

    node.run("async function ask(f) {\n  return await f();\n}")
    error = caught(lambda: node.run("\nawait ask(fail);", {"fail": fail}))
    assert isinstance(error, ValueError)
    assert [frame[1:3] for frame in frames(error)[-3:-1]] == [(2, "<module>"), (2, "async ask")]
    assert frames(error)[-1][2] == "fail"


@pytest.mark.parametrize(
    ("act", "kind", "says"),
    [
        (lambda node: node.run(Path("a.js")), TypeError, "run_file"),
        (lambda node: node.eval(None), TypeError, "str of JavaScript, not NoneType"),
        (lambda node: node.run("1", timeout="5"), TypeError, "number of seconds"),
        (lambda node: node.require(5), TypeError, "name of a module"),
        (lambda node: node.import_(None), TypeError, "name of a module"),
        (lambda node: node.inspect("x"), ValueError, "port"),
    ],
)
def test_wrong_arguments_are_named(act: Any, kind: type[Exception], says: str) -> None:
    with Node() as node:
        with pytest.raises(kind, match=says):
            act(node)
        assert node._session is None, "it starts nothing"


def test_a_syntax_error_shows_its_line(node: Node) -> None:
    error = caught(lambda: node.run("let fine;\n  let = = 3"))
    assert frames(error)[-1][1:] == (2, "<module>", "let = = 3")
    assert "    let = = 3\n          ^\n" in "".join(traceback.format_exception(error))


def test_an_object_without_parentheses_is_explained(node: Node) -> None:
    with pytest.raises(JSError.SyntaxError, match=r"needs parentheses: \(\{...\}\)"):
        node.eval("{a: 1, b: 2}")
    assert "parentheses" not in str(caught(lambda: node.eval("{ let = }")))


def test_files_are_shown_from_disk(node: Node, tmp_path: Path) -> None:
    module = tmp_path / "a module.js"
    module.write_text("// first\nexports.fail = () => {\n  throw new Error('here') }")
    bundle = tmp_path / "bundle.js"
    bundle.write_text("exports.fail = () => { throw new Error('x') };" + "/* long */" * 50_000)
    esm = tmp_path / "b.mjs"
    esm.write_text("export function fail() {\n  null.x }")
    script = tmp_path / "script of mine.js"
    script.write_text("\nnull.x")
    error = caught(lambda: node.require(str(module)).fail())
    assert frames(error)[-1] == ("a module.js", 3, "exports.fail", "throw new Error('here') }")
    error = caught(lambda: node.import_(str(esm)).fail())
    assert frames(error)[-1][1:] in [(2, "fail", "null.x }"), (2, "Module.fail", "null.x }")]
    error = caught(lambda: node.run_file(script))
    assert frames(error)[-1] == ("script of mine.js", 2, "<module>", "null.x")
    error = caught(lambda: node.require(str(bundle)).fail())
    shown = frames(error)[-1][3]
    assert shown is not None
    assert len(shown) <= 500


def test_sources_are_kept_within_bounds(node: Node) -> None:
    node.run("function kept() {\n  null.x }")
    before = len(linecache.cache)
    for n in range(200):
        node.eval(f"{n} + 1")
    assert len(linecache.cache) - before <= 60
    assert frames(caught(lambda: node.eval("kept()")))[-1][3] == "null.x }"
    sources = tracebacks._Sources()
    for n in range(2000):
        sources.add(f"test-{n}", (lambda: "",), 10_000, lasting=True)
    assert "test-0" not in linecache.cache
    assert sum(f"test-{n}" in linecache.cache for n in range(2000)) == 800
    for n in range(2000):
        linecache.cache.pop(f"test-{n}", None)


def test_a_traceback_does_not_grow_with_what_is_only_handed_over(node: Node) -> None:
    kept = []

    def fail() -> None:
        raise ValueError("x")

    node.run("try { fail(); } catch (error) { keep(error); keep(error); }",
             {"fail": fail, "keep": kept.append})  # fmt: skip
    assert kept[0] is kept[1]
    assert len(frames(kept[0])) == 2
    kept.clear()


def test_attributes_of_a_python_exception_are_properties(node: Node) -> None:
    class Failed(Exception):
        def __init__(self) -> None:
            super().__init__("no")
            self.code, self.detail, self.held = 42, {"a": 1}, object()

    def fail() -> None:
        raise Failed

    script = "try { f() } catch (e) { found = [e.code, e.detail, e.name, e.message] }"
    assert node.run(script, {"f": fail})["found"] == [42, bifrost.undefined, "Failed", "no"]
