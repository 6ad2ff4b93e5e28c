"""DCP's client in Node.js, on real sandboxed workers: the guide's cells, and what programs do."""

from __future__ import annotations

import contextlib
import http.server
import json
import math
import os
import signal
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bifrost import JSError, Node, RunTimeout
from bifrost.compute import Range, SparseRange, modules
from support.workers import until

INIT = """
require('dcp-client').initSync();
const compute = require('dcp/compute');
const dcpCli = require('dcp/dcp-cli');
"""

#: What the guide's cells do, in our words; its work function takes minutes, this one none.
POST = """
tuningFunction = `async function (parameters) {
  progress(0);
  undeclared = parameters.lr * 10;
  progress();
  if (parameters.slow) await new Promise((resolve) => setTimeout(resolve, 600000));
  progress(1.0);
  return { parameters, loss: 1 - undeclared, accuracy: undeclared };
}`;

async function postJob(parameterSet, maxRuntime) {
  const keystore = await dcpCli.getAccountKeystore();
  const job = compute.for(parameterSet, tuningFunction);
  jobs.push(job);
  const timer = setTimeout(() => {
    job.cancel();
    log.push('time is up');
  }, maxRuntime);
  job.public.name = 'Tuning';
  job.on('accepted', () => log.push('accepted ' + job.id));
  job.on('status', (status) => log.push([status.total, status.distributed, status.computed]));
  job.on('result', (output) => {
    log.push(['result', output.sliceNumber]);
    if (output.result.accuracy > best.accuracy) best = output.result;
  });
  try {
    await job.exec(compute.marketValue, keystore);
  } catch (error) {
    log.push('halted ' + error.code);
  }
  clearTimeout(timer);
  return best;
}
log = [];
jobs = [];
"""

KEYSTORE = {
    "version": 3,
    "address": "0e70f230f7a62ccf2bfd0368f07d3493d066a100",
    "crypto": {"ciphertext": "b12146c0SECRET", "cipher": "aes-128-ctr", "kdf": "scrypt"},
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with the keystore files that the guide makes."""
    folder = tmp_path / ".dcp"
    folder.mkdir()
    for name in ("id", "default"):
        (folder / f"{name}.keystore").write_text(json.dumps(KEYSTORE))
    return tmp_path


@pytest.fixture
def node(home: Path) -> Iterator[Node]:
    env = {"HOME": str(home), "DCP_SCHEDULER_LOCATION": None}
    with Node(cwd=home, env=env) as one:
        yield one


def test_the_cells_of_the_guide(node: Node) -> None:
    sets = [{"lr": 0.01}, {"lr": 0.03}, {"lr": 0.02}]
    node.run(INIT)
    node.run(POST, {"best": {"accuracy": 0}})
    # Nothing waits for this promise.
    node.run(
        "postJob(sets, 900000).then((value) => { log.push('complete'); found = value; }); 0",
        {"sets": sets},
    )
    until(lambda: node.eval("log").count("complete"))
    log = node.eval("log")
    assert len(log[0].removeprefix("accepted ")) == 22
    assert log[1] == [3, 0, 0]
    assert [3, 1, 0] in log
    assert sorted(one[1] for one in log if one[0] == "result") == [0, 1, 2]
    for place, one in enumerate(log):
        if one[0] == "result":
            count = sum(other[0] == "result" for other in log[: place + 1])
            assert log[place + 1][2] == count  # its status comes next
    assert log[-2:] == [[3, 3, 3], "complete"]
    assert node.eval("best") == node.eval("found")
    assert node.eval("best.parameters") == {"lr": 0.03}


def test_a_cell_of_the_guide_whose_time_is_up(node: Node) -> None:
    node.run(INIT + POST, {"best": {"accuracy": 0}})
    sets = [{"lr": 0.01}, {"lr": 0.02, "slow": True}, {"lr": 0.03}]
    # The results that came stay, and what runs is stopped.
    node.run(
        """
        const halted = postJob(sets, 900000);
        const results = () => log.filter(([kind]) => kind === 'result').length;
        const watch = setInterval(() => {
          if (results() < 2) return;
          clearInterval(watch);
          jobs[0].cancel();
        }, 5);
        await halted;
        """,
        {"sets": sets},
    )
    assert node.eval("log")[-1] == "halted ECANCELLED"
    assert node.eval("Array.from(jobs[0].results).length") == 2
    assert node.eval("best.parameters.lr") == 0.03


def test_values_survive(node: Node) -> None:
    changes = node.run(
        INIT
        + """
        const inputs = [
          new Map([[1, 'a']]), new Float32Array([1, 2]), 2n ** 80n, new Date(5), undefined, NaN, -0,
          { deep: [{ set: new Set([1]) }] }, null, 'text', Buffer.from('bytes'), /x/g,
          Array.from({ length: 100000 }, (_, i) => i / 3),
        ];
        const results = await compute.for(inputs, (value) => ({ value })).exec();
        const values = Array.from(results, (one) => one.value);
        same = require('node:util').isDeepStrictEqual(values, inputs);
        """
    )
    assert changes["same"] is True


def test_what_python_has_is_a_set_of_inputs(node: Node) -> None:
    def squares() -> Iterator[int]:
        yield from (n * n for n in range(4))

    async def letters() -> AsyncIterator[str]:
        yield "p"
        yield "q"

    given = {
        "letters": letters(),
        "quarters": Range(0, 1, 0.25, group=3),
        "pairs": SparseRange(Range(0, 1), ["x"]),
        "images": np.arange(12.0).reshape(3, 4),
        "names": ["a", "b"],
        "numbers": squares(),
    }
    changes = node.run(
        INIT
        + """
        const list = async (...all) => Array.from(await compute.for(...all).exec());
        rows = await list(images, (row) => row.typedArray.reduce((a, b) => a + b));
        twice = await list(names, (name) => name + name);
        same = await Promise.all([letters, quarters, pairs].map((set) => list(set, (one) => one)));
        plus = await list(numbers, (n, one) => n + one, [1]);
        const frame = bifrost.python('pandas').DataFrame({ a: [1, 2], b: ['x', 'y'] });
        records = await list(frame, (row) => row);
        whole = await compute.for(1, 3, (x) => x).exec();
        """,
        given,
    )
    assert changes["same"] == [["p", "q"], [[0, 0.25, 0.5], [0.75, 1]], [0, 1, "x"]]
    assert changes["records"] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert changes["rows"] == [6, 22, 38]
    assert changes["twice"] == ["aa", "bb"]
    assert changes["plus"] == [1, 2, 5, 10]
    assert changes["whole"] == [1, 2, 3]


def test_events_of_the_work_function(node: Node) -> None:
    node.run(
        INIT
        + """
        events = [];
        const job = compute.for([7], async function (x) {
          console.log('working on', x);
          console.log('working on', x);
          work.emit('partial', { half: x / 2 });
          return work.job.public.name;
        });
        job.public.name = 'named';
        job.on('console', (said) => events.push(said));
        job.work.on('PARTIAL', (value) => events.push(value));
        events.push(Array.from(await job.exec()));
        """
    )
    said = {"sliceNumber": 0, "level": "log", "message": "working on 7"}
    assert node.eval("events") == [said, {**said, "same": 2}, {"half": 3.5}, ["named"]]


@contextlib.contextmanager
def storing(kept: dict[int, Any]) -> Iterator[str]:
    """The address of a server that keeps results."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = dict(urllib.parse.parse_qsl(body.decode()))
            kept[int(form["element"])] = (form.get("token"), json.loads(form["content"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"kept": form["element"]}).encode())

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def test_results_are_stored_by_a_server(node: Node) -> None:
    kept: dict[int, Any] = {}
    with storing(kept) as url:
        node.run(
            INIT
            + """
            job = compute.for(0, 99, (x) => ({ x, roots: Float64Array.of(Math.sqrt(x)) }));
            job.setResultStorage(url, { token: 'secret' });
            results = Array.from(await job.exec());
            """,
            {"url": url},
        )
    assert node.eval("results") == [{"kept": str(index)} for index in range(100)]
    assert kept == {x: ("secret", {"x": x, "roots": [math.sqrt(x)]}) for x in range(100)}


def test_a_work_function_that_throws(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JSError.JobError, match="slice 1 failed: RangeError: too much") as caught:
        node.run(
            INIT
            + """
            job = compute.for([0, 1], (x) => {
              if (x) throw new RangeError('too much');
              return x;
            });
            codes = [];
            job.on('cancel', ({ code }) => codes.push(code));
            job.on('ETOOMANYERRORS', () => codes.push('event'));
            await job.exec();
            """
        )
    assert caught.value.properties["code"] == "ETOOMANYERRORS"
    assert node.eval("codes") == ["ETOOMANYERRORS", "event"]
    assert "slice 1: RangeError: too much" in capfd.readouterr().err


def test_rules_of_bifrost(node: Node) -> None:
    node.run(
        INIT
        + """
        job = compute.for([0], () => { while (true); });
        job.policy = { sliceTimeout: 0.2, retries: 1 };
        errors = [];
        job.on('error', ({ code, sliceNumber }) => errors.push([sliceNumber, code]));
        await job.exec().catch((error) => { ended = error.code; });
        wrong = compute.for([0], (x) => x);
        wrong.policy = { patience: 1 };
        await wrong.exec().catch((error) => { refused = error.message; });
        """
    )
    assert node.eval("errors") == [[0, "ESLICETOOSLOW"]] * 2
    assert node.eval("ended") == "ETOOMANYERRORS"
    assert "no rule 'patience'" in node.eval("refused")


def test_generators_cancel_and_resume(node: Node) -> None:
    node.run(
        INIT
        + """
        pulled = 0;
        const numbers = async function* () {
          for (; pulled < 300; pulled++) { if (pulled % 50 === 0) await null; yield pulled; }
        };
        job = compute.for(numbers(), (x) => new Promise((done) => setTimeout(done, 2, 2 * x)));
        job.on('result', () => { if (job.results.length === 20) job.cancel('a break'); });
        reason = await job.exec().catch((error) => error.reason);
        first = job.results.length;
        job.cancel('too late to matter');
        results = Array.from(await job.resume());
        const fails = function* () {
          yield 1;
          throw new RangeError('empty');
        };
        await compute.for(fails(), (x) => x).exec().catch((error) => { thrown = error.message; });
        """
    )
    assert node.eval("reason") == "a break"
    assert 20 <= node.eval("first") < 300
    assert node.eval("results") == [2 * n for n in range(300)]
    assert node.eval("thrown") == "empty"


def test_an_input_may_wait_for_the_result_of_another(node: Node) -> None:
    node.run(
        INIT
        + """
        const chain = async function* () {
          for (let value = 1; value < 100; value = await new Promise((next) => (go = next))) {
            yield value;
          }
        };
        const job = compute.for(chain(), (x) => 3 * x);
        job.on('result', ({ result }) => go(result));
        powers = Array.from(await job.exec());
        """
    )
    assert node.eval("powers") == [3, 9, 27, 81, 243]


def test_modules_are_published_and_required(
    node: Node,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BIFROST_MODULES", str(home / "modules"))
    (home / "shapes.js").write_text(
        "module.declare([], function (require, exports) { exports.area = (r) => 3 * r * r; });"
    )
    node.run(
        INIT
        + """
        const { publish } = require('dcp/publish');
        const files = { './shapes.js': 'circle.js' };
        published = await publish({ name: 'shapes', version: '0.0.1', files });
        const job = compute.for([1, 2], `async (r) => require('circle').area(r)`);
        job.requires('shapes/circle');
        areas = Array.from(await job.exec());
        const other = compute.for([1], (x) => x);
        other.requires(['nothing/there']);
        await other.exec().catch((error) => { missing = [error.code, error.message]; });
        """
    )
    assert node.eval("published.version") == "0.0.1"
    assert modules.newest("shapes") is not None
    assert node.eval("areas") == [3, 12]
    code, message = node.eval("missing")
    assert code == "ENOMODULE"
    assert "nothing/there" in message
    assert "was cancelled: no module 'nothing/there'" in capfd.readouterr().err


def test_keystores_stay_here(node: Node, home: Path) -> None:
    shown = node.run(
        INIT
        + """
        const util = require('node:util');
        const keystores = [await dcpCli.getAccountKeystore(), await dcpCli.getIdentityKeystore()];
        shown = util.inspect(keystores, { depth: 9, showHidden: true }) + JSON.stringify(keystores);
        const job = compute.for([1], () => JSON.stringify(Object.keys(globalThis)));
        inside = (await job.exec(compute.marketValue, keystores[0]))[0];
        """
    )
    assert "0x0e70f230f7a62ccf2bfd0368f07d3493d066a100" in shown["shown"]
    assert "SECRET" not in shown["shown"] + shown["inside"]
    (home / ".dcp" / "default.keystore").unlink()
    expected = (
        "Could not locate keystore named 'default' in these locations: "
        f'["{home}/.dcp/default.keystore"]'
    )
    with pytest.raises(JSError) as caught:
        node.run("await dcpCli.getAccountKeystore()")
    assert caught.value.message == expected
    assert caught.value.properties["code"] == "ENOENT"


def decoy(home: Path) -> None:
    """What npm.install('dcp-client') leaves, as far as it matters here."""
    folder = home / "node_modules" / "dcp-client"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "dcp-client", "version": "9.9.9"}')
    (folder / "index.js").write_text("exports.installed = true;")


def test_ours_answers_everywhere(node: Node, home: Path) -> None:
    decoy(home)
    (home / "program.cjs").write_text(
        "exports.client = require('dcp-client');\n"
        "exports.load = () => require('dcp/compute');\n"
        "exports.place = require.resolve('dcp/compute');"
    )
    (home / "program.mjs").write_text(
        "import client, { engine } from 'dcp-client';\n"
        "export { client, engine };\n"
        "export const load = () => import('dcp/compute');"
    )
    with pytest.raises(JSError, match=r"dcp/compute is there after require\('dcp-client'\)"):
        node.require("dcp/compute")
    node.run(
        """
        const client = require('dcp-client');
        const program = require('./program.cjs');
        const imported = (await import('dcp-client')).default;
        const { compute } = await client.init();
        engines = [client, program.client, imported].map((one) => one.engine);
        same = [program.load(), require('dcp/compute'), (await import('dcp/compute')).default]
          .every((one) => one === compute);
        place = program.place;
        """
    )
    assert node.eval("engines") == ["bifrost"] * 3
    assert node.eval("same") is True
    assert node.eval("place") == "dcp/compute"
    with pytest.raises(JSError, match="Bifrost's own dcp-client has dcp/compute, dcp/dcp-cli"):
        node.require("dcp/nothing")
    with pytest.raises(JSError, match="DCP_SCHEDULER_LOCATION"):
        node.run("await client.init(new URL('https://scheduler.example'))")
    if node.eval("typeof require('node:module').registerHooks") == "function":
        node.run(
            """
            const esm = await import('./program.mjs');
            files = [esm.engine, esm.client === client, (await esm.load()).default === compute];
            """
        )
        assert node.eval("files") == ["bifrost", True, True]


def test_nothing_is_loaded_before_it_is_asked_for(node: Node) -> None:
    loaded = """
    (() => {
      const session = new (require('node:inspector').Session)();
      const urls = [];
      session.connect();
      session.on('Debugger.scriptParsed', ({ params }) => urls.push(params.url));
      session.post('Debugger.enable');
      session.disconnect();
      return urls.map((url) => url.split('/js/compute/')[1]).filter(Boolean);
    })()
    """
    assert node.eval(loaded) == ["names.js"]
    node.require("dcp-client")
    assert "job.js" in node.eval(loaded)


def test_a_scheduler_has_npms_client_answer(home: Path) -> None:
    env = {"DCP_SCHEDULER_LOCATION": "http://127.0.0.1:1"}
    with Node(cwd=home, env=env) as node:
        with pytest.raises(JSError, match=r"npm\.install\('dcp-client'\)"):
            node.require("dcp-client")
        decoy(home)
        assert node.run("installed = require('dcp-client').installed")["installed"] is True
        with pytest.raises(JSError, match=r"after `require\('dcp-client'\)\.initSync\(\)`"):
            node.require("dcp/compute")


def test_a_node_that_ends_ends_its_jobs(home: Path) -> None:
    with Node(cwd=home) as node:
        node.run(INIT + "started = new Promise((done) => { go = done; }); 0")
        node.run(
            """
            job = compute.for(0, 9, () => new Promise((done) => setTimeout(done, 600000)));
            job.on('status', ({ distributed }) => distributed === 1 && go());
            job.exec().catch(() => {});
            await started;
            """
        )
        assert "bifrost-job" in threads()
    until(lambda: "bifrost-job" not in threads())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


STUCK = "() => new Promise((done) => setTimeout(done, 600000))"


@pytest.mark.parametrize("wait", ["await end;", "while (true);", "await new Promise(() => {});"])
def test_a_job_stops_with_the_code_that_runs_it(node: Node, wait: str) -> None:
    node.run(f"{INIT} other = compute.for([1], {STUCK}); other.exec().catch(() => {{}}); 0")

    def interrupt(event: Any) -> None:
        if event["result"] == 2:
            threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()

    source = f"""
    job = compute.for([2, 1], async (x) => {{ if (x === 1) await ({STUCK})(); return x; }});
    job.on('result', interrupt);
    ended = '';
    const end = job.exec().catch((error) => {{ ended = error.code; }});
    await new Promise((done) => job.on('result', done));
    {wait}
    """
    with pytest.raises(KeyboardInterrupt):
        node.run(source, {"interrupt": interrupt})
    until(lambda: node.eval("ended"))
    assert node.eval("[ended, job.status.runStatus]") == ["ECANCELLED", "cancelled"]
    assert node.eval("Array.from(job.results)") == [2]
    assert node.eval("other.status.runStatus") == "running"
    with pytest.raises(RunTimeout):
        node.run("await job.resume()", timeout=1)
    until(lambda: node.eval("job.status.runStatus") == "cancelled")
    node.run("await other.cancel()")


AWAITING = "async function* () { for (let n = 0; n < 12; n++) { await sleep(150); yield n; } }"
BUSY = """function* () {
  for (let n = 0; n < 12; n++) {
    for (const end = Date.now() + 150; Date.now() < end;);
    yield n;
  }
}"""


@pytest.mark.parametrize("inputs", [AWAITING, BUSY])
def test_a_job_that_is_stopped_again_and_again_loses_no_input(node: Node, inputs: str) -> None:
    node.run(
        f"""
        {INIT}
        const sleep = require('node:timers/promises').setTimeout;
        job = compute.for(({inputs})(), (x) => x);
        codes = [];
        job.on('cancel', ({{ code }}) => codes.push(code));
        """
    )
    step = "await job.exec()"
    for attempt in range(40):
        try:
            node.run(step, timeout=0.4 + attempt / 10)
            break
        except RunTimeout:
            step = "await job.resume()"
        except JSError:
            break
    until(lambda: node.eval("job.status.runStatus") != "running")
    if inputs is AWAITING or "EINPUT" not in node.eval("codes"):
        assert node.eval("Array.from(job.results)") == list(range(12))
    else:
        with pytest.raises(JSError.TypeError, match="already running"):
            node.run("await job.resume()")


@pytest.mark.parametrize(
    ("event", "is_stored"),
    [("result", False), ("cancel", False), ("complete", False), ("result", True), ("cancel", True)],
)
def test_a_listener_that_is_stopped_takes_nothing_with_it(
    node: Node, event: str, is_stored: bool
) -> None:
    kept: dict[int, Any] = {}
    with storing(kept) as url:
        node.run(
            f"""
            {INIT}
            job = compute.for(0, 49, (x) => {{
              const end = x > 30 ? Date.now() + 100 : 0; // there is something left to cancel
              while (Date.now() < end);
              return x;
            }});
            if (isStored) job.setResultStorage(url);
            isStuck = true;
            const stick = () => {{ while (isStuck); }};
            job.on('result', ({{ sliceNumber }}) => {{
              if (sliceNumber !== 30 || !isStuck) return;
              ({{ result: stick, cancel: () => job.cancel() }}).{event}?.();
            }});
            if ('{event}' !== 'result') job.on('{event}', stick);
            """,
            {"url": url, "isStored": is_stored},
        )
        with pytest.raises(RunTimeout):
            node.run("await job.exec()", timeout=3)
        node.run("isStuck = false; results = Array.from(await job.resume());", timeout=30)
    answers = [{"kept": str(index)} for index in range(50)]
    assert node.eval("results") == (answers if is_stored else list(range(50)))


SCRIPT = """
import signal
from bifrost import node
signal.alarm(60)
node.run('''
require('dcp-client').initSync();
const job = require('dcp/compute').for(0, 9, () => { while (true); });
const running = new Promise((done) => job.on('status', (now) => now.distributed && done()));
job.exec();
await running;
''')
print('leaving')
"""


def test_a_running_job_does_not_keep_python(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=home, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_many_jobs_at_once_and_one_after_the_other(node: Node) -> None:
    node.run(
        INIT
        + """
        const run = (n) => compute.do(n, (i, add) => i + add, [100]).exec();
        const all = await Promise.all([1, 2, 3, 4, 5].map(run));
        lengths = all.map((one) => one.length);
        sum = 0;
        const large = compute.for(0, 4999, (x) => x);
        large.collateResults = false;
        large.on('result', ({ result }) => (sum += result));
        left = (await large.exec()).length;
        [status] = await compute.status(large.id);
        """
    )
    assert node.eval("lengths") == [1, 2, 3, 4, 5]
    assert (node.eval("sum"), node.eval("left")) == (4999 * 2500, 0)
    assert node.eval("status.computed") == 5000
