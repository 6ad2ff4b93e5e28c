"""`%%node` and its relatives in real Jupyter kernels, of the newest IPython and of Colab's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.notebook import Notebook, notebook

pytestmark = [pytest.mark.network]


@pytest.fixture(scope="module", params=["newest", "colab"])
def kernel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    with notebook(request.param, tmp_path_factory.mktemp("notebook")) as running:
        version = running.check("import IPython; IPython.__version__").value
        assert version is not None
        assert (version == "'7.34.0'") == (request.param == "colab")
        running.check("from bifrost import npm, node")
        yield running


@pytest.fixture(autouse=True)
def clean(kernel: Notebook) -> Iterator[None]:
    """Each test begins with a fresh Node and no variables of the test before."""
    yield
    kernel.check("node.close()\n%reset_selective -f ^[a-z]\nfrom bifrost import npm, node")


def test_import_alone_brings_the_magics_and_starts_nothing(kernel: Notebook) -> None:
    kernel.check("import psutil, os")
    assert kernel.check("len(psutil.Process().children())").value == "0"
    assert kernel.check("%%node\n1 + 1").value == "2"
    assert kernel.check("len(psutil.Process().children())").value == "1"


def test_load_ext(kernel: Notebook) -> None:
    kernel.check("%load_ext bifrost")
    assert kernel.check("%%node\n[1, 2].length").value == "2"


def test_variables_are_shared_both_ways(kernel: Notebook) -> None:
    kernel.check("numbers = [1, 2, 3]\nname = 'x'\n_private = 1")
    kernel.check(
        "%%node\nconst doubled = numbers.map(n => n * 2); let text = name + '!'; made = 1;"
    )
    assert kernel.check("doubled, text, made").value == "([2, 4, 6], 'x!', 1)"
    assert kernel.check("%%node\ntypeof _private").value == "'undefined'"


def test_changes_inside_a_container_come_back_and_only_those(kernel: Notebook) -> None:
    kernel.check("a = [1, 2]; b = [1, 2]; t = (1, 2); same_b, same_t = b, t")
    kernel.check("%%node\na.push(3); b.length; t.length")
    assert kernel.check("a, b is same_b, t is same_t").value == "([1, 2, 3], True, True)"


def test_python_changes_between_cells_are_seen(kernel: Notebook) -> None:
    kernel.check("%%node\nstate = {count: 1}; const alias = state; keys = new Map([['a', 1]]);")
    assert kernel.check("%%node\n[alias === state, keys instanceof Map]").value == "[True, True]"
    kernel.check("state['count'] = 5")
    assert kernel.check("%%node\nstate.count").value == "5"
    kernel.check("state = 'other'")
    assert kernel.check("%%node\nstate").value == "'other'"
    kernel.check("del state")
    assert kernel.check("%%node\ntypeof state").value == "'undefined'"


def test_functions_of_earlier_cells_see_and_set_todays_variables(kernel: Notebook) -> None:
    kernel.check("best = {'accuracy': 0}\nMODULE_NAME = 'first'")
    kernel.check(
        "%%node\nfunction better(r) { if (r.accuracy > best.accuracy) best = r; }\n"
        "const module_name = () => `${MODULE_NAME}/model`;"
    )
    kernel.check("best = {'accuracy': 0.5}\nMODULE_NAME = 'second'")
    shown = kernel.check(
        "%%node\nnew Promise(done => setTimeout(() => {\n"
        "  better({accuracy: 0.4}); better({accuracy: 0.9}); done();\n"
        "}, 30)).then(() => { console.log(best.accuracy, module_name()); });"
    )
    assert shown.stdout == "0.9 second/model\n"
    assert kernel.check("best").value == "{'accuracy': 0.9}"


def test_a_timer_after_its_cell_still_reaches_python(kernel: Notebook) -> None:
    kernel.check("best = 1\nunit = 10")
    kernel.check("%%node\nsetTimeout(() => { best = best + unit; console.log('tick'); }, 50);")
    kernel.check("unit = 100\nimport time\nuntil = time.time() + 10")
    kernel.check("while best == 1 and time.time() < until: time.sleep(0.01)")
    assert kernel.check("best").value == "101"


def test_unsendable_variables_cost_nothing_until_touched(kernel: Notebook) -> None:
    kernel.check("import os\nendless = range(10**12)\nnested = {'a': [1, {'b': endless}]}\nok = 1")
    assert kernel.check("%%node\nok + 1").value == "2"
    failed = kernel.run("%%node\nnested.a")
    assert failed.error is not None
    assert "nested.a[1].b: range cannot cross" in failed.error
    assert kernel.check("%%node\nok + 2").value == "3"


def test_a_reference_never_takes_the_place_of_a_python_name(kernel: Notebook) -> None:
    kernel.check("import os\nmath = [1]")
    kernel.check(
        "%%node\nconst os = require('os'); const path = require('path'); math = {plain: true};"
    )
    assert kernel.check("os.path is not None, math").value == "(True, {'plain': True})"
    assert "JavaScript" in str(kernel.check("path").value)
    assert kernel.check("%%node\ntypeof os.cpus").value == "'function'"
    kernel.check("%%node\npath = () => 1;")  # its own name: a reference may replace it
    assert "function" in str(kernel.check("path").value)


def test_const_let_and_class_run_again(kernel: Notebook) -> None:
    for value in (1, 2):
        kernel.check(
            f"%%node\nconst c = {value}; let l = {value}; class K {{ v() {{ return {value}; }} }}"
        )
        assert kernel.check("%%node\n[c, l, new K().v()]").value == f"[{value}, {value}, {value}]"
    kernel.check("%%node\nlet c = 3; const l = 3; function K() { return 4; }")
    assert kernel.check("c, l").value == "(3, 3)"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("1 + 1", "2"),
        ("1 + 1;", None),
        ("x = 5", None),
        ("let x = 5", None),
        ("for (let i = 0; i < 3; i++) i", None),
        ("({a: [1, null]})", "{'a': [1, None]}"),
        ("await Promise.resolve('later')", "'later'"),
        ("undefined", None),
        ("'use strict'", None),
        ("// nothing\n", None),
        ("new Map([[{}, 1]])", "<JavaScript Map: Map(1) { {} => 1 }>"),
    ],
)
def test_last_value_is_shown(kernel: Notebook, cell: str, shown: str | None) -> None:
    assert kernel.check(f"%%node\n{cell}").value == shown


def test_inputs_and_outputs_narrow_what_is_shared(kernel: Notebook) -> None:
    kernel.check("a = 1; b = 2")
    kernel.check("%%node -i a -o c,d\nc = typeof b; d = a + 1; e = 5;")
    assert kernel.check("c, d, 'e' in globals()").value == "('undefined', 2, False)"
    assert kernel.check("%%node\n[b, e]").value == "[2, 5]"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--bogus", "unknown option --bogus"),
        ("-i", "option -i needs a value"),
        ("-i 1x", "takes names"),
        ("-i missing", "name 'missing' is not defined"),
        ("-t soon", "number of seconds"),
    ],
)
def test_a_bad_option_is_a_one_line_error(kernel: Notebook, line: str, says: str) -> None:
    failed = kernel.run(f"%%node {line}\n1")
    assert says in failed.stderr
    assert failed.error is None or failed.error.startswith("UsageError")


def test_errors_show_javascript_and_not_bifrost(kernel: Notebook) -> None:
    kernel.check("%%node\nfunction inner() {\n  null.x;\n}")
    failed = kernel.run("%%node\nlet fine = 1;\n\ninner();")
    assert failed.error is not None
    assert failed.error.startswith("JSError: TypeError: Cannot read properties of null")
    assert "inner" in failed.traceback
    count = kernel.check("len(In) - 2").value  # cells are named and lines counted as shown
    assert f"at inner (In[{int(str(count)) - 1}]:3:8)" in failed.traceback
    assert f"at In[{count}]:4:1" in failed.traceback
    assert "frontend" not in failed.traceback
    assert kernel.check("fine").value == "1"  # what was made before the error is there


def test_line_magics(kernel: Notebook, tmp_path: Path) -> None:
    kernel.check("xs = [1, 2, 3]")
    assert kernel.check("%run_node xs.length").value == "3"
    assert kernel.check("n = %run_node xs.map(x => `$x {x}`).length\nn").value == "3"
    script = tmp_path / "a script.js"
    script.write_text("total = xs.reduce((a, b) => a + b); const again = 1;\n")
    for _ in range(2):
        kernel.check(f'%node_file "{script}"')
    assert kernel.check("total").value == "6"
    assert "cannot be read" in kernel.run("%node_file nowhere.js").stderr
    script.write_text("\nnull.x")
    assert f"{script.name.replace(' ', '%20')}:2" in kernel.run(f"%node_file {script}").traceback


def test_help(kernel: Notebook) -> None:
    assert "--timeout" in kernel.check("%%node?").pages


def test_output_belongs_to_the_cell_and_streams(kernel: Notebook) -> None:
    request = kernel.start(
        "%%node\nconsole.log('  first\\n');\nawait new Promise(r => setTimeout(r, 700));"
        "process.stdout.write('é🎉'); console.error('bad');"
    )
    result = kernel.finish(request)
    assert result.stdout == "  first\n\né🎉"
    assert result.stderr == "bad\n"
    streams = [m for m in result.messages if m["msg_type"] == "stream"]
    gap = streams[-1]["header"]["date"] - streams[0]["header"]["date"]
    assert gap.total_seconds() > 0.4  # the first line came while the cell still ran


def test_capture(kernel: Notebook) -> None:
    assert kernel.check("%%capture cap\n%run_node console.log('caught'), 1").stdout == ""
    assert kernel.check("cap.stdout").value == "'caught\\n'"


@pytest.mark.parametrize(
    "cell",
    [
        "while (true) {}",
        "await new Promise(() => {});",
        "setTimeout(() => { for (;;); }, 1); await new Promise(() => {});",
    ],
)
def test_interrupt_stops_javascript_and_keeps_its_state(kernel: Notebook, cell: str) -> None:
    kernel.check("%%node\nkept = 1; function add() { return ++kept; }")
    request = kernel.start(f"%%node\nbefore = 2; console.log('on'); {cell}")
    while kernel.client.get_iopub_msg(timeout=30)["msg_type"] != "stream":
        pass
    time.sleep(0.2)
    started = time.monotonic()
    kernel.manager.interrupt_kernel()
    result = kernel.finish(request)
    assert str(result.error).startswith("KeyboardInterrupt")
    assert time.monotonic() - started < 20
    assert kernel.check("%%node\n[add(), before]").value == "[2, 2]"


def test_interrupt_in_nested_callbacks(kernel: Notebook) -> None:
    kernel.check("%%node\nkept = 1; down = (f, n) => n ? f(n - 1) : kept++ && spin();")
    kernel.check(
        "import time\nkept_here = 1\n"
        "def up(n):\n    global kept_here\n    kept_here += 1\n    return down(up, n)\n"
        "def spin():\n    print('deep', flush=True)\n    time.sleep(60)"
    )
    for end in ("time.sleep(60)", "node.run('for (;;);')"):
        kernel.check(f"def spin():\n    print('deep', flush=True)\n    {end}")
        request = kernel.start("%%node\nup(5)")
        while kernel.client.get_iopub_msg(timeout=30)["msg_type"] != "stream":
            pass
        time.sleep(0.2)
        kernel.manager.interrupt_kernel()
        assert str(kernel.finish(request).error).startswith("KeyboardInterrupt")
    assert kernel.check("kept_here").value == "13"
    assert kernel.check("%%node\nkept").value == "3"


def test_restart_and_shutdown_end_node(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with notebook(request.node.callspec.params["kernel"], tmp_path) as running:
        source = "from bifrost import node\nnode.run('setInterval(() => {}, 5)')\nnode.info['pid']"
        first = int(str(running.check(source).value))
        running.manager.restart_kernel(now=False)
        running.client.wait_for_ready(timeout=60)
        assert not psutil.pid_exists(first)
        assert running.check("'node' in globals()").value == "False"
        second = int(str(running.check(source).value))
        running.manager.restart_kernel(now=True)  # kills it
        running.client.wait_for_ready(timeout=60)
        third = int(str(running.check(source).value))
        assert psutil.pid_exists(third)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(second) or psutil.pid_exists(third):
        assert time.monotonic() < deadline, "a kernel's Node lives on"
        time.sleep(0.02)


def test_timeout_option(kernel: Notebook) -> None:
    failed = kernel.run("%%node -t 0.3\nkept = 7; while (true) {}")
    assert str(failed.error).startswith("RunTimeout: not done after 0.3 s")
    assert kernel.check("kept").value == "7"


def test_the_guides_array_cell(kernel: Notebook) -> None:
    """The cell of the guide that cuts the test images into batches, as printed there."""
    kernel.check(
        "import numpy as np\n_x_test = np.arange(40 * 784, dtype=np.uint8).reshape(40, 28, 28)\n"
        "_y_test = np.arange(40, dtype=np.uint8)\nslice_count = 10\n"
        "xTest = _x_test\nyTest = _y_test"
    )
    kernel.check(
        "%%node\n\n// # Arrange testing data in batches of the number of images to be"
        " distributed to each worker\n\n"
        "xSize = xTest.typedArray.length / slice_count;\n"
        "ySize = yTest.typedArray.length / slice_count;\n\n"
        "testingImages = [];\ntestingLabels = [];``\n\nfor (let i = 0; i < slice_count; i++) {\n"
        "    testingImages.push(xTest.typedArray.slice(i * xSize, (i + 1) * xSize).toString());\n"
        "    testingLabels.push(yTest.typedArray.slice(i * ySize, (i + 1) * ySize));\n}"
    )
    assert kernel.check("len(testingImages), xSize, ySize").value == "(10, 3136, 4)"
    assert (
        kernel.check("testingLabels[2].tolist(), testingLabels[2].dtype.name").value
        == "([8, 9, 10, 11], 'uint8')"
    )
    assert (
        kernel.check("testingImages[0] == ','.join(map(str, _x_test[:4].ravel()))").value == "True"
    )


def test_a_large_array_is_changed_in_place(kernel: Notebook) -> None:
    kernel.check("import numpy as np\nbig = np.zeros((1000, 1000)); other = big")
    kernel.check("%%node\nbig.set(5, 2, 3); big.typedArray[0] = 1;")
    assert kernel.check("big is other, other[2, 3], other[0, 0]").value in {
        "(True, 5.0, 1.0)",
        "(True, np.float64(5.0), np.float64(1.0))",
    }


def test_magics_in_a_terminal_ipython(tmp_path: Path) -> None:
    lines = (
        "from bifrost import node\nxs = [3, 1]\n%run_node ys = xs.sort(); ys.length\n"
        "print('sorted', ys)\nexit\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
    )
    assert "Out[3]: 2" in done.stdout
    assert "sorted [1, 3]" in done.stdout
    assert done.returncode == 0


def test_a_killed_node_is_said_and_the_next_cell_works(kernel: Notebook) -> None:
    kernel.check("%%node\nx = 1;")
    kernel.check(f"import os, signal\nos.kill(node.info['pid'], {int(signal.SIGKILL)})")
    kernel.check("import time; time.sleep(0.3)")
    after = kernel.check("%%node\n1 + 1")
    assert after.value == "2"
    assert "its variables are lost" in after.stderr
