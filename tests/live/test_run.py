"""How JavaScript runs: state, declarations, modules, errors, and the life of a Node."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from bifrost import BifrostError, JSError, KernelDied, Node, RunTimeout, ShareError
from support import leaks

# -- state and declarations


def test_state_persists(node: Node) -> None:
    node.run("var a = 1; function f() { return a + b; }")
    node.run("const b = 2; let c = () => f();")
    assert node.eval("c()") == 3


@pytest.mark.parametrize(
    "script",
    [
        "const v = 7",
        "let v = 7",
        "var v = 7",
        "v = 7",
        "globalThis.v = 7",
        "class C {}; v = 7",
        "class C {}; await 0; v = 7",
        "'use strict';class C {}; await 0; var v = 7",
        "function f() {}; class C {}; await 0; v = 7",
        "await null; const v = 7",
        "const {v} = {v: 7}",
        "const [, v] = [1, 7]",
        "let {a: {v = 7}} = {a: {}}",
        "await 0; const {v, ...rest} = {v: 7, w: 8}",
        "await 0; let [u, ...[v]] = [1, 7]",
        "for (var v = 0; v < 7; v++);",
        "if (true) { var v = 7 }",
        "await 0; for (var v = 0; v < 7; v++);",
        "await 0; for (var [k, v] of [['a', 7]]);",
        "var u = 1, v = 7;",
        "let u, v = 7;",
        "await 0; let u, v = 7;",
    ],
)
def test_whatever_declares_it_a_variable_comes_back(node: Node, script: str) -> None:
    assert node.run(script)["v"] == 7
    assert node.run(script)["v"] == 7, "the second time"
    assert node.eval("v") == 7


def test_const_can_become_let_and_class_and_back(node: Node) -> None:
    node.run("const x = 1")
    assert node.run("let x = 2; x++")["x"] == 3
    node.run("class x { static n = 4 }")
    assert node.eval("x.n") == 4
    assert node.run("const x = 5")["x"] == 5
    node.run("function x() { return 6 }")
    assert node.eval("x()") == 6
    assert node.run("await 0; var x = 7")["x"] == 7


def test_let_without_a_value_resets(node: Node) -> None:
    node.run("let x = 1; var y = 1")
    node.run("let x; var y;")
    assert node.eval("[x === undefined, y]") == [True, 1]
    node.run("x = 5; await 0; let x")
    assert node.eval("x === undefined") is True


def test_functions_are_hoisted_also_when_the_script_awaits(node: Node) -> None:
    assert node.run("r = f(); await 0; function f() { return 'early' }")["r"] == "early"
    assert node.eval("f()") == "early"


def test_closures_see_later_values(node: Node) -> None:
    node.run("let n = 1; const get = () => n;")
    node.run("n = 2")
    assert node.eval("get()") == 2
    node.run("let n = 3")
    assert node.eval("get()") == 3
    node.run("n = 4", {})
    assert node.eval("get()") == 4
    node.run("", {"n": 5})
    assert node.eval("get()") == 5


def test_block_scoped_names_stay_in_their_block(node: Node) -> None:
    made = node.run("{ const inner = 1; let other = 2; } for (let i = 0; i < 2; i++) {} z = 1")
    assert set(made) == {"z"}


def test_sloppy_mode_is_the_default(node: Node) -> None:
    assert node.run("undeclared = 1; r = (function () { return this === globalThis })()")["r"]
    assert node.run("with ({q: 3}) { w = q }")["w"] == 3
    assert node.eval("010") == 8


def test_a_script_may_be_strict(node: Node) -> None:
    for start in ("'use strict'; ", "'use strict'; await 0; "):
        with pytest.raises(JSError, match="nowhere is not defined"):
            node.run(start + "nowhere = 1")
    assert node.run("later = 1")["later"] == 1


def test_a_deleted_variable_is_gone(node: Node) -> None:
    node.run("gone = 1")
    assert "gone" not in node.run("delete globalThis.gone")
    assert node.eval("typeof gone") == "undefined"
    assert node.run("gone = 2")["gone"] == 2


# -- the completion value


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ("1 + 1", 2),
        ("x = 5", 5),
        ("'text';", "text"),
        ("if (true) { 3 } else { 4 }", 3),
        ("for (const i of [1, 2]) i * 10", 20),
        ("await 6", 6),
        ("await 0; 7", 7),
        ("Promise.resolve(8)", 8),
        ("(async () => 9)()", 9),
        ("({a: 1})", {"a": 1}),
        ("'a'; // a comment", "a"),
        ("await 0; 5 // a comment", 5),
        ("null", None),
        ("", None),
        ("// nothing", None),
        ("await 0; try { 3 } finally {}", None),
        ("#!/usr/bin/env node\n11", 11),
        ("#!/usr/bin/env node\nawait 11", 11),
    ],
)
def test_eval_returns_the_completion_value(node: Node, script: str, value: object) -> None:
    got = node.eval(script)
    if value is None:
        assert not got
    else:
        assert got == value


def test_a_run_ends_when_its_promise_has_settled(node: Node) -> None:
    started = time.monotonic()
    made = node.run("new Promise((r) => setTimeout(() => { done = 'yes'; r() }, 150))")
    assert made["done"] == "yes"
    assert time.monotonic() - started > 0.14


def test_a_run_does_not_wait_for_timers_and_they_live_on(node: Node) -> None:
    started = time.monotonic()
    node.run("ticks = 0; timer = setInterval(() => { ticks++ }, 10); 1")
    assert time.monotonic() - started < 20, "an interval never ends"
    time.sleep(0.2)
    assert node.eval("ticks") > 5
    node.run("clearInterval(timer)")


def test_awaiting_inside_functions_does_not_make_a_script_wait(node: Node) -> None:
    assert node.run("async function f() { await 0; return 1 } x = 2")["x"] == 2
    assert node.eval("(await f()) + 1") == 2


# -- modules


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with modules of each kind."""
    (tmp_path / "plain.js").write_text("module.exports = {name: 'plain', dir: __dirname}")
    (tmp_path / "esm.mjs").write_text(
        "export default 'dflt'; export const a = 1; export let b = 2;"
        "export const url = import.meta.url; export {a as 'quoted name'}"
    )
    (tmp_path / "data.json").write_text('{"answer": 42}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_package(folder: Path, name: str, value: object) -> None:
    package = folder / "node_modules" / name
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": name, "main": "main.js"}))
    (package / "main.js").write_text(f"module.exports = {json.dumps(value)}")


def test_require_is_relative_to_the_working_directory(node: Node, project: Path) -> None:
    assert node.eval("require('./plain').name") == "plain"
    assert node.eval("require('./plain.js').dir") == str(project)
    assert node.eval("require('node:path').sep") == os.sep
    assert node.eval("require('./data.json').answer") == 42
    assert node.eval("[__dirname, typeof __filename, typeof module.exports]") == [
        str(project), "string", "object",
    ]  # fmt: skip


def test_chdir_is_followed(node: Node, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert node.eval("require('./plain').name") == "plain"
    other = project / "other"
    other.mkdir()
    (other / "plain.js").write_text("module.exports = {name: 'other'}")
    monkeypatch.chdir(other)
    assert node.eval("require('./plain').name") == "other"
    assert node.eval("(await import('./plain.js')).default.name") == "other"
    assert node.eval("process.cwd()") == str(other)


def test_a_node_with_a_cwd_stays_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Node(cwd=project) as node:
        monkeypatch.chdir("/")
        assert node.eval("require('./plain').name") == "plain"
        assert node.eval("process.cwd()") == str(project)


def test_dynamic_import(node: Node, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert node.eval("(await import('./esm.mjs')).default") == "dflt"
    assert node.eval("import('./esm.mjs').then((m) => m.a + m.b)") == 3
    node.run("const load = (name) => import(name)")
    assert node.eval("(await load('./plain.js')).default.name") == "plain"
    assert node.eval("(await load('node:os')).EOL") == "\n"
    assert capfd.readouterr().err == ""


def test_static_import(node: Node, project: Path) -> None:
    node.run(
        "import d, {a as b2, b} from './esm.mjs';\nimport * as ns from './esm.mjs'\n"
        "import d2, * as ns2 from './esm.mjs';import './plain.js';"
        "import {default as d3} from './esm.mjs'\n"
        "import {'quoted name' as quoted} from './esm.mjs'\n"
        "import fs, {existsSync} from 'fs'\n"
        "all = [d, b2, b, ns.a, d2, ns2.b, d3, quoted, existsSync('.')]"
    )
    assert node.eval("all") == ["dflt", 1, 2, 1, "dflt", 2, "dflt", 1, True]
    assert node.eval("typeof fs.readFileSync") == "function", "imports persist"
    assert (
        node.run("import data from './data.json' with {type: 'json'}; x = data.answer")["x"] == 42
    )


def test_a_missing_module_is_an_error_with_its_code_and_the_next_step(
    node: Node, project: Path
) -> None:
    for script, code in [
        ("require('no-such-package/part')", "MODULE_NOT_FOUND"),
        ("\nimport x from 'no-such-package/part'", "ERR_MODULE_NOT_FOUND"),
    ]:
        with pytest.raises(JSError, match=r"npm\.install\('no-such-package'\)") as caught:
            node.run(script)
        assert caught.value.properties["code"] == code
        assert "Cannot find module 'no-such-package/part'" in caught.value.message
        assert caught.value.message in caught.value.stack
        assert "[bifrost]" not in caught.value.stack
    for load in (node.require, node.import_):
        with pytest.raises(JSError, match=r"npm\.install\('@some/thing'\)"):
            load("@some/thing")
    with pytest.raises(JSError, match=r"'\./nowhere': it was looked for from .*working directory"):
        node.require("./nowhere")
    (project / "needs.js").write_text("require('its-own-need')")
    with pytest.raises(JSError, match=r"needs\.js"):
        node.require("./needs")


@pytest.mark.parametrize("has_folder", [False, True])
@pytest.mark.parametrize("way", ["require('late')", "(await import('late')).default"])
def test_a_package_made_later_can_be_used_at_once(
    node: Node, project: Path, way: str, has_folder: bool
) -> None:
    if has_folder:
        make_package(project, "early", 0)
        assert node.eval("require('early')") == 0
    with pytest.raises(JSError):
        node.run(way)
    make_package(project, "late", 5)
    assert node.eval(way) == 5


def test_a_file_that_failed_to_load_can_be_mended(node: Node, project: Path) -> None:
    (project / "broken.js").write_text("throw new Error('broken')")
    with pytest.raises(JSError, match="broken"):
        node.run("require('./broken')")
    (project / "broken.js").write_text("module.exports = 'mended'")
    assert node.eval("require('./broken')") == "mended"


# -- errors


def test_an_error_has_its_name_message_and_place(node: Node) -> None:
    with pytest.raises(JSError) as caught:
        node.run("\n\n  null.x")
    error = caught.value
    assert (error.name, error.properties) == ("TypeError", {})
    assert "null" in error.message
    assert error.stack.splitlines()[1].endswith(":3:8")
    assert "run[" in error.stack
    assert str(error).startswith("TypeError: ")
    assert "bifrost" not in error.stack.lower()
    assert "node:internal" not in error.stack


@pytest.mark.parametrize(
    "script",
    [
        "await 0;\n\nnew Error('here').foo();",
        "const x = await 0;\nlet y;\nnew Error('here').foo();",
        "import fs from 'fs'\n\nnew Error('here').foo();",
        "import {\n  readFileSync } from 'fs'\nnew Error('here').foo();",
        "#!/usr/bin/env node\nawait 0;\nnew Error('here').foo();",
        "'use strict'\nawait 0; function f() {}\nnew Error('here').foo();",
        "await 0\n// (\nnew Error('here').foo();",
        "// a comment\n/* another */ await 0\nnew Error('here').foo()",
        "class A {}\nconst q = 1\nnew Error('here').foo();",
    ],
)
def test_line_numbers_are_the_scripts_own(node: Node, script: str) -> None:
    with pytest.raises(JSError) as caught:
        node.run(script)
    assert caught.value.stack.splitlines()[1].endswith(":3:19"), caught.value.stack


def test_stacks_name_functions_of_earlier_runs_and_files(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "with space.js"
    file.write_text("// first\nfunction thrower() {\n  throw new RangeError('deep') }")
    node.run_file(file)
    node.run("\nfunction caller() { thrower() }")
    with pytest.raises(JSError) as caught:
        node.run("caller()")
    frames = [line.strip() for line in caught.value.stack.splitlines()[1:]]
    assert len(frames) == 3, frames
    assert frames[0].startswith("at thrower (")
    assert "space.js:3:9" in frames[0]
    assert frames[1].startswith("at caller (run[")
    assert ":2:21" in frames[1]


def test_a_file_that_throws_is_named(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "thrower.js"
    file.write_text("await 0\nthrow new Error('x')")
    with pytest.raises(JSError) as caught:
        node.run_file(file)
    assert f"{file}:2:7" in caught.value.stack


@pytest.mark.parametrize(
    ("script", "place"),
    [("\nlet = = 3", ":2:"), ("await 0;\n\n  )", ":3:3"), ("a b", ":1:3"), ("x = {", ":1:6")],
)
def test_a_syntax_error_has_its_place(node: Node, script: str, place: str) -> None:
    with pytest.raises(JSError) as caught:
        node.run(script)
    assert caught.value.name == "SyntaxError"
    assert place in caught.value.stack, caught.value.stack
    assert node.eval("1") == 1


def test_syntax_errors_are_about_the_users_code(node: Node) -> None:
    for script in ("return 5", "await 0; return 5", "function f() { await 0 }"):
        with pytest.raises(JSError) as caught:
            node.run(script)
        assert caught.value.name == "SyntaxError"
        assert "__bifrost" not in str(caught.value)


def test_causes_are_chained(node: Node) -> None:
    with pytest.raises(JSError) as caught:
        node.run(
            "const low = new RangeError('low'); const mid = new TypeError('mid', {cause: low});"
            "throw new Error('top', {cause: mid})"
        )
    mid = caught.value.__cause__
    assert isinstance(mid, JSError)
    assert (mid.name, mid.message) == ("TypeError", "mid")
    assert isinstance(mid.__cause__, JSError)
    assert mid.__cause__.name == "RangeError"


def test_own_properties_of_an_error_come_along(node: Node) -> None:
    with pytest.raises(JSError) as caught:
        node.run(
            "class HttpError extends Error { name = 'HttpError'; status = 404; f() {} }\n"
            "throw Object.assign(new HttpError('gone'), {details: [1, {a: 2}], fn() {}})"
        )
    assert caught.value.name == "HttpError"
    assert caught.value.properties["status"] == 404
    assert caught.value.properties["details"] == [1, {"a": 2}]
    with pytest.raises(JSError) as caught:
        node.run("require('fs').readFileSync('/no/such/file')")
    assert caught.value.properties["code"] == "ENOENT"


def test_an_error_with_a_property_that_cannot_cross_still_arrives(node: Node) -> None:
    with pytest.raises(JSError, match="odd"):
        node.run(
            "throw Object.assign(new Error('odd'), {g: globalThis, f: () => 1, w: new WeakMap})"
        )
    with pytest.raises(JSError, match="cyclic"):
        node.run("e = new Error('cyclic'); e.cause = e; throw e")
    node.run("e = undefined")


@pytest.mark.parametrize(
    ("thrown", "value"),
    [("5", 5), ("null", None), ("({a: 1})", {"a": 1}), ("'words'", "words"), ("[1]", [1])],
)
@pytest.mark.parametrize("way", ["throw {}", "await 0; throw {}", "Promise.reject({})"])
def test_what_is_no_error_can_be_thrown(node: Node, way: str, thrown: str, value: object) -> None:
    with pytest.raises(JSError) as caught:
        node.run(way.replace("{}", thrown))
    assert caught.value.value == value
    assert str(caught.value)


def test_undefined_can_be_thrown(node: Node) -> None:
    with pytest.raises(JSError, match="undefined"):
        node.run("throw undefined")


def test_an_error_of_another_realm_is_an_error(node: Node) -> None:
    with pytest.raises(JSError) as caught:
        node.run("require('vm').runInNewContext('throw new TypeError(\"foreign\")')")
    assert (caught.value.name, caught.value.message) == ("TypeError", "foreign")


def test_a_rejection_raises(node: Node) -> None:
    with pytest.raises(JSError, match="late"):
        node.run("new Promise((_, no) => setTimeout(() => no(new TypeError('late')), 20))")


def test_variables_made_before_the_error_are_kept(node: Node) -> None:
    with pytest.raises(JSError):
        node.run("before = 1; throw new Error('x')")
    assert node.eval("before") == 1


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("Promise.reject(new Error('nobody caught me')); 1", "nobody caught me"),
        ("setTimeout(() => { throw new TypeError('in a timer') }, 1)", "in a timer"),
        ("setTimeout(() => { throw {odd: 1} }, 1)", "odd: 1"),
        ("setImmediate(() => { null.x })", "TypeError"),
        ("process.nextTick(() => { throw new Error('ticked') }); 1", "ticked"),
        ("new (require('events'))().emit('error', new Error('emitted'))", None),
        (
            "setTimeout(() => new (require('events'))().emit('error', new Error('emitted')))",
            "emitted",
        ),
    ],
)
def test_nobodys_errors_are_reported_and_node_lives(
    node: Node, capfd: pytest.CaptureFixture[str], script: str, text: str | None
) -> None:
    pid = node.info["pid"]
    if text is None:
        with pytest.raises(JSError, match="emitted"):
            node.run(script)
    else:
        node.run(script)
        node.run("await new Promise((r) => setTimeout(r, 30))")
        error = capfd.readouterr().err
        assert text in error
        assert "Uncaught" in error
    assert node.info["pid"] == pid
    assert node.eval("1 + 1") == 2


@pytest.mark.parametrize(
    "script",
    [
        "process.exit()",
        "process.exit(3)",
        "try { process.exit(1) } catch {} await new Promise(() => {})",
        "await 0; process.exit()",
        "setTimeout(() => process.exit(), 5); await new Promise(() => {})",
    ],
)
def test_process_exit_is_an_error_and_node_goes_on(node: Node, script: str) -> None:
    node.run("kept = 1")
    with pytest.raises(JSError, match=r"node\.close\(\)") as caught:
        node.run(script, timeout=10)
    assert caught.value.name == "ProcessExit"
    assert node.eval("kept") == 1


def test_process_abort_is_the_death_of_the_kernel(node: Node) -> None:
    with pytest.raises(KernelDied) as caught:
        node.run("process.abort()")
    assert caught.value.exit_code == -6
    assert node.eval("1") == 1


def test_really_exiting_is_too(node: Node) -> None:
    with pytest.raises(KernelDied) as caught:
        node.run("console.error('last words'); process.reallyExit(7)")
    assert caught.value.exit_code == 7
    assert caught.value.stderr == "last words"
    assert "last words" in str(caught.value)
    assert node.eval("typeof kept") == "undefined"


# -- variables


def test_the_callers_dict_is_untouched(node: Node) -> None:
    given = {"a": 1, "items": [1, 2]}
    made = node.run("a = 2; b = 3; items.push(9)", given)
    assert given == {"a": 1, "items": [1, 2]}
    assert made == {"a": 2, "b": 3, "items": [1, 2, 9]}
    assert node.run("c = 1") == {"c": 1}, "nothing of an earlier run"
    assert node.run("") == {}


def test_unchanged_values_are_the_same_objects(node: Node) -> None:
    given = {"items": [1, {"deep": [2]}], "text": "t" * 100, "mapping": {"k": (1, 2)}}
    made = node.run("seen = items[1].deep[0] + text.length + Object.keys(mapping).length", given)
    assert made["seen"] == 103
    assert all(made[name] is given[name] for name in given)


@pytest.mark.parametrize(
    "change",
    ["v.push(3)", "v[0] = 9", "v.length = 0", "v.reverse()", "v[1].x = 1", "delete v[1].k"],
)
def test_changes_in_place_come_back_as_new_values(node: Node, change: str) -> None:
    given = {"v": [1, {"k": 2}]}
    made = node.run(change, given)
    assert given["v"] == [1, {"k": 2}]
    assert made["v"] is not given["v"]
    assert made["v"] != given["v"]


def test_reassigned_with_an_equal_value(node: Node) -> None:
    assert node.run("x = 1", {"x": 1}) == {"x": 1}
    assert node.run("x = [1]", {"x": [1]}) == {"x": [1]}


@pytest.mark.parametrize(
    "name", ["process", "Array", "globalThis", "require", "console", "undefined", "bifrost"]
)
def test_variables_named_like_globals_are_refused(node: Node, name: str) -> None:
    with pytest.raises(ShareError, match=name):
        node.run("1", {"fine": 1, name: 5})
    assert node.eval("typeof process.version") == "string"
    assert node.eval("typeof fine") == "undefined", "all or nothing"


@pytest.mark.parametrize(
    "name",
    [
        "a-b",
        "",
        "1",
        "été",
        "变量",
        "$",
        "_",
        "__proto__",
        "toString",
        "class",
        "a b",
        "constructor",
    ],
)
def test_weird_names(node: Node, name: str) -> None:
    made = node.run("got = globalThis[which]", {name: 77, "which": name})
    assert made["got"] == 77
    assert made[name] == 77
    assert node.eval("1") == 1


def test_names_and_arguments_are_checked(node: Node) -> None:
    with pytest.raises(TypeError, match="name of a variable"):
        node.run("", {1: 2})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="str of JavaScript"):
        node.run(b"1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="maps names"):
        node.run("", [1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        node.run("", timeout=-1)
    with pytest.raises(ValueError, match="timeout"):
        node.run("", timeout=float("nan"))
    assert node.run("x = 1", timeout=float("inf")) == {"x": 1}
    assert node.run("x = 1", timeout=1e12) == {"x": 1}


def test_an_unsendable_variable_names_its_path(node: Node) -> None:
    with pytest.raises(ShareError) as caught:
        node.run("1", {"good": 1, "bad": [1, {"f": range(10**12)}]})
    assert caught.value.path == "$.bad[1].f"
    assert node.eval("typeof good") == "undefined"


def test_what_cannot_come_back_is_an_opaque_object(node: Node) -> None:
    made = node.run("f = () => 41; w = new WeakMap(); n = 1")
    assert made["n"] == 1
    assert "function" in repr(made["f"])
    assert node.run("r = g() + 1", {"g": made["f"]})["r"] == 42
    assert node.eval("g === f") is True
    del made


def test_setters_and_getters_of_the_user_stay_as_they_are(node: Node) -> None:
    node.run("Object.defineProperty(globalThis, 'calls', {get() { return 5 }, configurable: true})")
    assert node.eval("calls") == 5
    assert "calls" not in node.run("x = 1")


def test_run_file(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "script.js"
    file.write_text("doubled = values.map((v) => v * 2); // é 🦊", encoding="utf-8")
    assert node.run_file(file, {"values": [1, 2]})["doubled"] == [2, 4]
    assert node.run_file(str(file), {"values": [3]})["doubled"] == [6]
    with pytest.raises(FileNotFoundError):
        node.run_file(tmp_path / "none.js")


def test_long_scripts_and_unicode(node: Node) -> None:
    assert node.eval("'" + "é🦊" * 200_000 + "'.length") == 600_000
    assert node.run("const größe = '𝒳'; await 0")["größe"] == "𝒳"
    assert node.eval("'\u2028 \ufeff'.length") == 3
    assert node.eval("\ufeff1") == 1
    assert node.eval("a = 1\r\nb = 2\r\nawait 0\r\n a + b") == 3


# -- the life of a Node


def test_cancel_clear_restart_close(node: Node) -> None:
    pids = {node.info["pid"]}
    node.run("x = 1")
    for renew in (node.cancel, node.clear, node.restart, node.close):
        renew()
        assert node.eval("typeof x") == "undefined"
        pids.add(node.info["pid"])
        node.run("x = 1")
    assert len(pids) == 5
    node.cancel(restart=False)
    assert "not started" in repr(node)
    node.close()
    node.close()
    assert node.eval("1") == 1


def test_exit_handlers_run_when_it_is_closed_in_good_order(
    node: Node, capfd: pytest.CaptureFixture[str]
) -> None:
    node.run("process.on('exit', (code) => console.log('bye', code))")
    node.close()
    assert capfd.readouterr().out == "bye 0\n"


def test_nodes_are_isolated() -> None:
    with Node() as one, Node() as two:
        one.run("x = 1")
        two.run("x = 2")
        assert (one.eval("x"), two.eval("x")) == (1, 2)
        assert one.info["pid"] != two.info["pid"]
        one.close()
        assert two.eval("x") == 2


def test_env_options_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_PYTHON", "yes")
    monkeypatch.setenv("TAKEN_AWAY", "no")
    with Node(
        env={"ADDED": "1", "TAKEN_AWAY": None},
        node_options=["--expose-gc", "--no-warnings"],
        memory_limit=300,
    ) as node:
        got = node.eval("['FROM_PYTHON', 'ADDED', 'TAKEN_AWAY'].map((n) => process.env[n] ?? null)")
        assert got == ["yes", "1", None]
        assert node.eval("typeof gc") == "function"
        limit = node.eval("require('v8').getHeapStatistics().heap_size_limit")
        assert 300 * 2**20 <= limit < 600 * 2**20, "V8 adds its young generation"


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(KernelDied, match="bad option") as caught:
        Node(node_options=["--no-such-option"]).run("1")
    assert caught.value.exit_code == 9
    with pytest.raises((BifrostError, OSError)):
        Node(cwd=tmp_path / "none").run("1")


def test_many_failed_starts_use_nothing_up(tmp_path: Path) -> None:
    node = Node(cwd=tmp_path / "none")
    for _ in range(80):
        with pytest.raises((BifrostError, OSError)):
            node.run("1")


def test_running_out_of_memory_is_the_death_of_the_kernel() -> None:
    with Node(memory_limit=64) as node:
        with pytest.raises(KernelDied, match="heap") as caught:
            node.run("hog = []; for (;;) hog.push(new Array(1000).fill({}))")
        assert caught.value.exit_code is not None
        assert "FATAL ERROR" in caught.value.stderr
        assert "node::" not in caught.value.stderr, "nobody reads native stacks"
        assert node.eval("typeof hog") == "undefined"
        leaks.close(node)


def test_user_code_cannot_break_the_bridge_by_replacing_globals(node: Node) -> None:
    node.run(
        "JSON.parse = JSON.stringify = () => { throw 1 };"
        "process.stdout.write = () => true;"
        "const setTimeout = require('timers/promises').setTimeout;"
        "Array.prototype.extra = 1; class Event {}; const fetch = 1, crypto = 2"
    )
    assert node.run("y = x.length", {"x": [1, 2]})["y"] == 2
    with pytest.raises(JSError, match="still"):
        node.run("await 0; throw new Error('still')")
    with pytest.raises(RunTimeout):
        node.run("while (true) {}", timeout=0.1)
    assert node.run("y = x.get(1)", {"x": {1: 3}})["y"] == 3
    node.close()


def test_a_script_may_bind_every_global_anew() -> None:
    """As in `const { Map, Set } = require('immutable')`."""
    with Node() as node:
        taken = node.eval(
            "Object.getOwnPropertyNames(globalThis).filter((name) => /^[A-Z]\\w+$/.test(name)"
            " && Object.getOwnPropertyDescriptor(globalThis, name).configurable)"
        )
        # Without these the parser does not work either, nor most of npm.
        taken = set(taken) - {"Object", "String", "BigInt"}
        assert {"Array", "Buffer", "Error", "Map", "Promise", "Symbol"} <= taken
        node.run("".join(f"class {name} {{}};" for name in sorted(taken)))
        value = {"a": [1, {2: None}, {3}, np.arange(3), b"x", 2**70, 1 + 2j], "e": ValueError("v")}
        made = node.run("back = v; f = v.a[3].shape; await null; g = (x) => h(x)", {"v": value})
        np.testing.assert_array_equal(made["back"]["a"].pop(3), value["a"].pop(3))
        assert made["back"] == value
        assert made["f"] == [3]
        assert node.eval("g(2)", {"h": lambda x: x + 1}) == 3
        with pytest.raises(JSError, match="thrown"):
            node.run("throw 'thrown'")
        with pytest.raises(RunTimeout):
            node.run("while (true) {}", timeout=0.1)
        with pytest.raises(JSError, match="Unexpected"):
            node.run("1 +* 2")
