"""What the README, docs/javascript.md and examples of `pythonia` show: Python from JavaScript.

Those documents are at github.com/extremeheat/JSPyBridge. The code is our own. There every access
is awaited; here Python answers at once, and only what Python awaits is a promise.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bifrost import JSError, Node, ShareError


class Calculator:
    """A class to call from JavaScript."""

    places: int | None = None

    def __init__(self, degrees: bool, integers: bool = False) -> None:
        self.degrees = degrees
        self.integers = integers

    def add(self, a: float, b: float) -> float:
        return a + b

    def div(self, a: float, b: float) -> float:
        return a // b if self.integers else a / b

    def power(self, base: float, exponent: float) -> float:
        result = 1.0
        for _ in range(int(exponent)):
            result = self.mul(result, base)  # a subclass's or an object's own
        return result

    def mul(self, a: float, b: float) -> float:
        raise NotImplementedError


def bifrost(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bifrost", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


class TestImports:
    def test_a_program_imports_the_python_file_beside_it(self, tmp_path: Path) -> None:
        (tmp_path / "clock.py").write_text(
            "def year(seconds):\n    return 1970 + seconds // 31556952\n"
        )
        (tmp_path / "main.js").write_text(
            "const clock = bifrost.python('clock');\n"
            "console.log(`It is ${clock.year(31556952 * 50)}`);"
        )
        done = bifrost("run", str(tmp_path / "main.js"), cwd=tmp_path.parent)
        assert (done.returncode, done.stdout) == (0, "It is 2020\n"), done.stderr

    def test_the_program_ends_by_itself(self, tmp_path: Path) -> None:
        # With pythonia, `python.exit()` has to be called.
        (tmp_path / "main.js").write_text("bifrost.python('os').getpid(); var done = true;")
        assert bifrost("run", "main.js", "--print", "done", cwd=tmp_path).stdout == "true\n"

    def test_modules_have_their_parts(self, node: Node) -> None:
        assert node.eval("bifrost.python('os.path').join('a', 'b')") == os.path.join("a", "b")
        assert node.eval("bifrost.python('collections').Counter('abca').a") == 2

    def test_builtins_are_a_module(self, node: Node) -> None:
        script = "[...bifrost.python('builtins').enumerate(['a', 'b'])]"
        assert node.eval(script) == [[0, "a"], [1, "b"]]


class TestCalls:
    def test_keyword_arguments(self, node: Node) -> None:
        def special(a: int, b: int, /, name: str = "", **rest: Any) -> list[Any]:
            return [a, b, name, rest]

        script = "special(1, 2, bifrost.kwargs({ name: 'x', extra: 77 }))"
        assert node.eval(script, {"special": special}) == [1, 2, "x", {"extra": 77}]

    def test_complex_numbers(self, node: Node) -> None:
        assert node.eval("(z) => [z.re, z.im]")(3 + 4j) == [3, 4]
        assert node.eval("builtins.sum([z, 1])", {"builtins": np, "z": 3j}) == 1 + 3j

    def test_numbers_beyond_doubles_are_exact(self, node: Node) -> None:
        assert node.eval("bifrost.python('builtins').pow(2, 63) === 2n ** 63n") is True

    def test_expressions_of_python_values(self, node: Node) -> None:
        made = node.run(
            "const a = bifrost.NDArray.from([[1, 2], [3, 4]]);"
            "const b = bifrost.NDArray.from([[2, 2], [2, 2]]);"
            "const operators = bifrost.python('operator');"
            "const sum = operators.add(operators.add(a, b), 10).toArray();"
            "const { eval: evaluate } = bifrost.python('builtins');"
            "const product = evaluate('a @ b + c', { a, b, c: 1 }).toArray();"
        )
        assert made["sum"] == [[13, 14], [15, 16]]
        assert made["product"] == [[7, 7], [15, 15]]

    def test_a_python_function_calls_back(self, node: Node) -> None:
        def event(notify: Any, method: Any) -> Any:
            return notify("from python", method)

        script = "event((text, method) => [text, method()], () => 3)"
        assert node.eval(script, {"event": event}) == ["from python", 3]

    def test_a_missing_property_is_undefined(self, node: Node) -> None:
        script = "[calc.nothing, calc.nothing?.deeper, 'nothing' in calc]"
        undefined = node.eval("undefined")
        assert node.eval(script, {"calc": Calculator(True)}) == [undefined, undefined, False]

    def test_errors_are_caught(self, node: Node) -> None:
        def throw() -> None:
            raise RuntimeError("hey I crashed!")

        script = "try { throw_() } catch (error) { [error.name, error.message, error.stack] }"
        name, message, stack = node.eval(script, {"throw_": throw})
        assert (name, message) == ("RuntimeError", "hey I crashed!")
        assert "in throw" in stack


class TestObjects:
    def test_classes_are_called_or_constructed(self, node: Node) -> None:
        made = node.run(
            "const one = new Calculator(true, bifrost.kwargs({ integers: true }));"
            "const two = Calculator(false);"
            "const facts = [one.div(7, 2), two.div(7, 2), one instanceof Calculator];",
            {"Calculator": Calculator},
        )
        assert made["facts"] == [3, 3.5, True]
        assert isinstance(made["one"], Calculator)

    def test_properties_are_set(self, node: Node) -> None:
        calculator = Calculator(True)
        node.run("calc.degrees = false; calc.name = 'meow'", {"calc": calculator})
        assert (calculator.degrees, vars(calculator)["name"]) == (False, "meow")

    def test_a_method_is_overridden_by_a_javascript_function(self, node: Node) -> None:
        calculator = Calculator(True)
        made = node.run(
            "calc.mul = (a, b) => Array(b).fill(a).reduce((sum, n) => sum + n, 0);"
            "const eight = calc.power(2, 3);",
            {"calc": calculator},
        )
        assert made["eight"] == 8
        assert calculator.power(3, 2) == 9
        del calculator.mul

    def test_a_class_with_javascript_methods_is_made_by_a_python_function(self, node: Node) -> None:
        # pythonia has PyClass to extend; here Python makes the class, where classes are made.
        def extend(base: type, methods: list[tuple[str, Any]]) -> type:
            def bound(function: Any) -> Any:
                return lambda self, *arguments: function(self, *arguments)

            return type("Extended", (base,), {name: bound(f) for name, f in methods})

        made = node.run(
            "const Mine = extend(Calculator, Object.entries({"
            "  mul: (self, a, b) => self.add(a * b, 0),"
            "  div: (self, a, b) => Calculator.div(self, a, b) + 100,"
            "}));"
            "const mine = new Mine(true);"
            "const facts = [mine.power(3, 3), mine.div(6, 3), mine instanceof Calculator];",
            {"extend": extend, "Calculator": Calculator},
        )
        assert made["facts"] == [27, 102, True]

    def test_what_is_printed_of_an_object(
        self, node: Node, capsys: pytest.CaptureFixture[str]
    ) -> None:
        node.run("console.log(calc)", {"calc": Calculator})
        assert capsys.readouterr().out == f"[Python {Calculator!r}]\n"


class TestIteration:
    def test_generators(self, node: Node, tmp_path: Path) -> None:
        (tmp_path / "a.txt").touch()
        (tmp_path / "b.txt").touch()
        names = (path.name for path in tmp_path.iterdir())
        assert sorted(node.eval("[...names]", {"names": names})) == ["a.txt", "b.txt"]

    def test_async_iteration_of_anything_iterable(self, node: Node) -> None:
        script = "let sum = 0; for await (const n of items) sum += n; sum"
        assert node.eval(script, {"items": iter([1, 2, 4])}) == 7

    def test_python_iterates_what_javascript_hands_it(self, node: Node) -> None:
        keys, items = node.eval("[f({ x: 1, y: 2 }), f([1, 2, 3])]", {"f": list})
        assert (keys, items) == (["x", "y"], [1, 2, 3])

    def test_a_tree_of_python_objects_is_walked(self, node: Node) -> None:
        class Tree(list[Any]):
            def __init__(self, label: str, children: list[Any]) -> None:
                super().__init__(children)
                self.label = label

        words = [["Romeo"], ["is"], ["Juliet"], ["Romeo"]]
        script = """
            const counts = {};
            for (const [word] of words) counts[word] = (counts[word] ?? 0) + 1;
            Object.entries(counts).sort((a, b) => b[1] - a[1])[0]
        """
        assert node.eval(script, {"words": Tree("S", words)}) == ["Romeo", 2]


def test_a_histogram_is_drawn_by_matplotlib(tmp_path: Path) -> None:
    (tmp_path / "histogram.js").write_text(
        r"""
        bifrost.python('matplotlib').use('Agg');
        const np = bifrost.python('numpy');
        const plot = bifrost.python('matplotlib.pyplot');
        const [mu, sigma] = [100, 15];
        const { typedArray } = np.random.default_rng(7).standard_normal(2000);
        const sample = Array.from(typedArray, (n) => mu + sigma * n);
        const [counts, edges] = plot.hist(sample, 50, bifrost.kwargs({ density: true }));
        plot.xlabel('Smarts');
        plot.title('Histogram');
        plot.text(60, 0.025, '$\\mu=100,\\ \\sigma=15$');
        plot.xlim(40, 160);
        plot.grid(true);
        plot.savefig('iq.png');
        const total = counts.typedArray.reduce((a, b) => a + b) * (edges.get(1) - edges.get(0));
        const area = total.toFixed(6);
        """
    )
    done = bifrost("run", "histogram.js", "--print", "area", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "1.000000\n"), done.stderr
    assert (tmp_path / "iq.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_is_trained_by_javascript_that_calls_python(node: Node) -> None:
    class Model:
        weight = np.zeros(1)

        def step(self, x: Any, y: Any, *, rate: float) -> float:
            error = self.weight * x - y
            self.weight -= rate * (error * x).mean()
            return float((error**2).mean())

    made = node.run(
        "const losses = []; for (let n = 0; n < 40; n++)"
        " losses.push(model.step(x, y, bifrost.kwargs({ rate: 0.1 })));",
        {"model": Model(), "x": np.arange(4.0), "y": 3 * np.arange(4.0)},
    )
    assert made["losses"][0] > 10
    assert made["losses"][-1] < 1e-3


def test_a_pandas_frame_is_asked(node: Node) -> None:
    import pandas as pd

    frame = pd.DataFrame({"city": ["Oslo", "Rome", "Oslo"], "sold": [1, 2, 3]})
    total = lambda: frame.groupby("city")["sold"].sum().to_dict()  # noqa: E731
    assert node.eval("total()", {"total": total}) == {"Oslo": 4, "Rome": 2}


def test_what_cannot_be_sent_names_its_place(node: Node) -> None:
    with pytest.raises((ShareError, JSError), match=r"range"):
        node.eval("f()", {"f": lambda: {"deep": [range(10**12)]}})
