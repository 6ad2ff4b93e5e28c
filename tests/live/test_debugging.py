"""The inspector, and the trace of the protocol."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bifrost import JSError, Node, RunTimeout
from bifrost.runtime.binaries import find_node
from support.devtools import DevTools


@contextmanager
def at_breakpoint(tools: DevTools, act: Any) -> Iterator[None]:
    """In a thread, wait until JavaScript is paused, and act on it."""
    failures = []

    def wait() -> None:
        try:
            act(tools.wait_for("Debugger.paused")["callFrames"][0])
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join(20)
    assert not failures


def test_inspect_gives_an_address_where_devtools_can_attach(
    node: Node, capfd: pytest.CaptureFixture[str]
) -> None:
    address = node.inspect()
    assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/[0-9a-f-]{36}", address)
    assert node.inspect() == address
    assert capfd.readouterr().err == ""
    node.run("const shared = [1, 2];")
    with DevTools(address) as tools:
        answer = tools.ask("Runtime.evaluate", expression="shared.length * 21")
        assert answer["result"]["value"] == 42
    assert node.eval("shared") == [1, 2]


def test_at_a_breakpoint_python_waits(node: Node) -> None:
    node.run("function stop(secret) {\n  debugger;\n  return secret;\n}")
    with DevTools(node.inspect()) as tools:
        tools.ask("Debugger.enable")
        places = []

        def act(frame: dict[str, Any]) -> None:
            places.append((frame["functionName"], frame["location"]["lineNumber"] + 1))
            tools.ask(
                "Debugger.evaluateOnCallFrame",
                callFrameId=frame["callFrameId"],
                expression="secret = 7",
            )
            tools.ask("Debugger.resume")

        for script in ("stop(1)", "await 0; stop(1)", "relay(() => stop(1))"):
            with at_breakpoint(tools, act):
                assert node.eval(script, {"relay": lambda f: f()}) == 7
        assert places == [("stop", 2)] * 3


def test_a_breakpoint_set_in_a_script_that_ran_before(node: Node) -> None:
    node.run("function add(a, b) {\n  return a + b;\n}")
    with DevTools(node.inspect()) as tools:
        tools.ask("Debugger.enable")
        where = tools.ask("Debugger.setBreakpointByUrl", lineNumber=1, urlRegex=r"^run\[\d+\]$")
        assert len(where["locations"]) == 1
        with at_breakpoint(tools, lambda frame: tools.ask("Debugger.resume")):
            assert node.eval("add(2, 3)") == 5


def test_timeout_ends_what_is_at_a_breakpoint(node: Node) -> None:
    pid = node.info["pid"]
    node.run("kept = 1")
    with DevTools(node.inspect()) as tools:
        tools.ask("Debugger.enable")
        for script in ("debugger; for (;;);", "await 0; debugger; await new Promise(() => {})"):
            with at_breakpoint(tools, lambda frame: None), pytest.raises(RunTimeout):
                node.run(script, timeout=0.5)
            tools.wait_for("Debugger.resumed")
            assert node.eval("kept") == 1
    assert node.info["pid"] == pid


def test_ctrl_c_ends_what_is_at_a_breakpoint(node: Node) -> None:
    with DevTools(node.inspect()) as tools:
        tools.ask("Debugger.enable")
        with (
            at_breakpoint(tools, lambda frame: os.kill(os.getpid(), signal.SIGINT)),
            pytest.raises(KeyboardInterrupt),
        ):
            node.run("kept = 2; debugger; for (;;);")
    assert node.eval("kept") == 2


def test_a_debugger_does_not_keep_node_from_ending() -> None:
    with Node() as one:
        tools = DevTools(one.inspect())
    tools.__exit__(None, None, None)


def test_a_port_that_is_taken_is_an_error(node: Node) -> None:
    with Node() as other:
        port = int(other.inspect().split(":")[2].split("/")[0])
        with pytest.raises(JSError, match=str(port)):
            node.inspect(port)
    assert node.eval("1") == 1
    assert ":" in node.inspect()


def traced(setting: str | None, script: str) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if k != "BIFROST_DEBUG"}
    if setting is not None:
        environment["BIFROST_DEBUG"] = setting
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def test_the_protocol_can_be_traced() -> None:
    script = """
import numpy
from bifrost import node
try:
    node.run("x = twice(2); null.y", {"twice": lambda n: n * 2, "a": numpy.zeros(3), "s": "z" * 999})
except Exception:
    pass
import threading
import traceback
thread = threading.Thread(target=lambda: node.eval("'from a thread'"), name="mine")
thread.start(); thread.join()
"""  # noqa: E501
    assert traced(None, script) == []
    assert traced("0", script) == []
    lines = traced("1", script)
    pattern = re.compile(
        r"bifrost \d+ +\d+\.\d{6} (->|<-) ([A-Z]+)( \d+(?: \(within \d+\))?)? (.*) \[\d+ B, (.+)\]"
    )
    parts = [match.groups() for line in lines if (match := pattern.fullmatch(line))]
    assert len(parts) == len(lines)
    parts = [part for part in parts if part[1] != "RELEASE"]  # they come when they come
    kinds = [(direction, kind, ident) for direction, kind, ident, _, _ in parts]
    assert kinds[:6] == [
        ("<-", "HELLO", None),
        ("->", "CALL", " 1"),
        ("<-", "CALL", " 1 (within 1)"),
        ("->", "RESULT", " 1"),
        ("<-", "RESULT", " 1"),
        ("->", "CALL", " 2"),
    ]
    assert "run('x = twice(2); null.y', 'run[1]', 'never'" in parts[1][3]
    assert "<function #1 of the sender>" in parts[1][3]
    assert "<array <f8 [3] in slot" in parts[1][3]
    assert len(parts[1][3]) < 400, "long values are shortened"
    assert "<TypeError: " in parts[4][3]
    assert "'from a thread'" in next(text for _, _, _, text, thread in parts if thread == "mine")


# -- source maps

TYPESCRIPT = """interface Order { items: { price: number }[] }

// a comment that goes away

enum Kind { A, B }
function total(order: Order | null): number {
  const unused: string = "text";
  return order!.items.length;
}
export { total };
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a TypeScript file, compiled with its map in a file, or inside."""
    folder = tmp_path_factory.mktemp("compiled")
    compiler = Path(__file__).parents[2] / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        pytest.skip("needs the development tools: npm ci")
    base = [str(find_node().path), str(compiler), "--ignoreConfig", "--removeComments"]
    for name, kind in [("apart.ts", "--sourceMap"), ("inside.ts", "--inlineSourceMap")]:
        (folder / name).write_text(TYPESCRIPT)
        command = [*base, "--target", "es2022", "--module", "commonjs", kind, name]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.mark.parametrize("name", ["apart", "inside"])
@pytest.mark.parametrize("way", ["require", "file", "run"])
def test_source_maps_are_honoured(
    node: Node, compiled: Path, monkeypatch: pytest.MonkeyPatch, way: str, name: str
) -> None:
    script = compiled / f"{name}.js"
    assert "interface" not in script.read_text()
    monkeypatch.chdir(compiled)  # from where a script's map is looked for
    if way == "require":
        total = node.require(f"./{name}.js").total
    elif way == "file":
        node.run_file(script)
        total = node.eval("total")
    else:
        total = node.run(script.read_text())["total"]
    with pytest.raises(JSError.TypeError) as caught:
        total(None)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (Path(frame.filename).name, frame.lineno) == (f"{name}.ts", 8)
    assert frame.line == "return order!.items.length;"
    assert f"{name}.ts:8:17" in caught.value.stack


def test_a_source_map_that_is_missing_or_broken_does_no_harm(node: Node) -> None:
    for address in ("nowhere.js.map", "data:application/json;base64,bm9uc2Vuc2U=", "data:,{"):
        with pytest.raises(JSError.TypeError) as caught:
            node.run(f"\nnull.x\n//# sourceMappingURL={address}")
        assert caught.value.stack.splitlines()[1].endswith(":2:6")
