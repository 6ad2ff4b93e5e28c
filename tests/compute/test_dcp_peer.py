"""Ranges, emitters and keystores beside those of npm's dcp-client, run in the same Node.js.

Of that package (MIT, by Distributive) only what runs without a scheduler is asked. 5.x counts
slices from 1 and has more kinds of ranges than 3.x; the values of ranges are the same. (Its `max`
of steps by 1 is the end, also where no step hits that; ours is the last number.)
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import bifrost
from bifrost import JSError, Node
from bifrost.compute.ranges import Distribution, MultiRange, Range, SparseRange
from bifrost.frontend.npm import Npm
from bifrost.runtime.binaries import find_node

pytestmark = [pytest.mark.network, pytest.mark.slow]

RANGES = [
    [0, 10], [1, 10, 2], [0, 10, 3], [0, 1, 0.1], [0, 1, 0.3], [0, 0.3, 0.1], [0, 0.7, 0.1],
    [1, 2, 0.1], [1, 1.3, 0.1], [0, 1e-3, 1e-4], [5, 1, -0.7], [10, 0], [10, 0, -3], [0, 0],
    [0.5, 3.5], [-3, 3], [0, 10, 1, 3], [0, 10, 2, 4], [0, 9, 1, 2], [10, 0, -1, 4], [0, 1, 0.1, 3],
    [1e15, 1e15 + 5], [0, 10, 1, 1], [3, 3, 0, 5],
]  # fmt: skip
REFUSED = [["a", 3], [0, 10, -1], [0, 10, 0], [10, 0, 3], [0, 10, 1, 0], [0, 10, 1, 1.5]]
MULTI: list[list[Any]] = [
    [{"start": 0, "end": 2}, {"start": 10, "end": 11}],
    [["a", "b"], {"start": 1, "end": 2}],
    [{"start": 0, "end": 5, "group": 2}, {"start": 0, "end": 1}],
    [{"start": 0, "end": 1}],
    [],
]
SPARSE = [[{"start": 0, "end": 2}, {"start": 7, "end": 8}], [{"start": 5, "end": 5}]]
CURVES = [
    ["identity", 5], ["poisson", 8, 3], ["poisson", 5], ["poisson", 5, 0.5], ["poisson", 3, -1],
    ["normal", 6], ["normal", 6, 2], ["normal", 6, 2, 0.5], ["normal", 6, -1, 2], ["binomial", 6],
    ["binomial", 9, 0.25],
]  # fmt: skip

#: Of an account that nobody has, encrypted with an empty passphrase.
KEYSTORE = {
    "version": 3,
    "id": "6c5d6a76-cea9-4611-b288-a48ae4e67c8b",
    "address": "0e70f230f7a62ccf2bfd0368f07d3493d066a100",
    "crypto": {
        "ciphertext": "b12146c08902bc3a933ce0aaafc7a5a6a5404076694c93f8c8bc76d45b55f2aa",
        "cipherparams": {"iv": "0c42a75f5d9eede51247d67c0fe70c98"},
        "cipher": "aes-128-ctr",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "salt": "5d7e279bb9d152e214f0d75932198297fa54668659091a34b4cd05ce20e82abf",
            "n": 1024,
            "r": 8,
            "p": 1,
        },
        "mac": "32099c5258daa4d181b1e3e377b32e30f0467d15c054483b27b5e891aaf1cd94",
    },
}

SCRIPT = """
const { RangeObject, MultiRangeObject, SparseRangeObject } = require('dcp/range-object');
const { set } = require('dcp/stats-ranges');
const { EventEmitter } = require('dcp/dcp-events');
const { ranges, refused, multi, sparse, curves } = JSON.parse(process.argv[2]);
const shown = (range) => {
  return { length: range.length, items: range.toArray(), object: range.toObject() };
};
const emitter = new EventEmitter('test');
const heard = [];
const listen = (value) => heard.push(value);
emitter.on('NoProgress', listen);
emitter.addEventListener('noPROGRESS', listen);
emitter.once('noprogress', listen);
emitter.emit('NOPROGRESS', 1);
const wallet = require('dcp/wallet');
const attempt = (promise) => promise.then(
  (keystore) => String(keystore.address).toLowerCase(),
  ({ name, code, message }) => [name, code, message],
);
setTimeout(async () => {
  const keystores = await Promise.all(
    [wallet.get(), wallet.get('other'), wallet.getId()].map(attempt),
  );
  const count = emitter.listenerCount('noprogress');
  emitter.removeListener('noprogress', listen);
  emitter.off('NOprogress', listen);
  process.stdout.write(JSON.stringify({
    ranges: ranges.map((one) => {
      const range = new RangeObject(...one);
      const { max, hasRemainder, stepCount } = range;
      return { ...shown(range), max, hasRemainder, stepCount, text: String(range) };
    }),
    refused: refused.map((one) => {
      try { return String(new RangeObject(...one)); } catch { return 'refused'; }
    }),
    multi: multi.map((one) => shown(new MultiRangeObject(one))),
    sparse: sparse.map((one) => shown(new SparseRangeObject({ sparse: one }))),
    curves: curves.map(([name, ...rest]) => set[name](...rest).toArray()),
    keystores,
    heard: [heard, count, emitter.listenerCount('noprogress')],
  }));
}, 50);
"""


def ask(script: Path, cwd: Path) -> Any:
    cases = {
        "ranges": RANGES,
        "refused": REFUSED,
        "multi": MULTI,
        "sparse": SPARSE,
        "curves": CURVES,
    }
    (cwd / ".dcp").mkdir()
    (cwd / ".dcp" / "default.keystore").write_text(json.dumps(KEYSTORE))
    command = [str(find_node().path), str(script), json.dumps(cases)]
    env = {**os.environ, "HOME": str(cwd)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.replace(str(cwd), "HOME"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("dcp")
    Npm().install("dcp-client@5.6.1", allow_scripts=False, cwd=home)
    return home


@pytest.fixture(scope="module")
def theirs(project: Path) -> Any:
    (project / "theirs.cjs").write_text(f"require('dcp-client');\n{SCRIPT}")
    return ask(project / "theirs.cjs", project)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("own")
    client = Path(bifrost.__file__).parent / "js" / "compute" / "client.js"
    opening = (
        f"const {{ get }} = require({json.dumps(str(client))}).createClient(() => ({{}}));\n"
        "get('dcp-client').initSync();\n"
    )
    (home / "ours.cjs").write_text(opening + SCRIPT.replace("require('dcp/", "get('dcp/"))
    return ask(home / "ours.cjs", home)


@pytest.mark.parametrize("part", ["ranges", "refused", "multi", "sparse", "heard", "keystores"])
def test_our_client_answers_as_theirs_does(part: str, ours: Any, theirs: Any) -> None:
    assert ours[part] == theirs[part]


def test_curves_are_the_same_up_to_rounding(ours: Any, theirs: Any) -> None:
    for case, own, other in zip(CURVES, ours["curves"], theirs["curves"], strict=True):
        expected = [math.nan if one is None else one for one in other]
        python = list(Distribution(*case))  # type: ignore[arg-type]
        assert [math.nan if one is None else one for one in own] == pytest.approx(
            expected, rel=1e-12, nan_ok=True
        ), case
        assert python == pytest.approx(expected, rel=1e-12, nan_ok=True), case


def test_pythons_ranges_are_theirs(theirs: Any) -> None:
    for case, other in zip(RANGES, theirs["ranges"], strict=True):
        start, end, *rest = case
        one = Range(start, end, *rest)  # type: ignore[arg-type]
        assert (list(one), len(one)) == (other["items"], other["length"]), case

    def made(one: Any) -> Any:
        if isinstance(one, list):
            return one
        return Range(one["start"], one["end"], None, one.get("group"))

    for case, other in zip(MULTI, theirs["multi"], strict=True):
        assert list(MultiRange(*map(made, case))) == other["items"]
    for case, other in zip(SPARSE, theirs["sparse"], strict=True):
        assert list(SparseRange(*map(made, case))) == other["items"]


def test_a_seed_gives_the_same_numbers_in_both_languages(tmp_path: Path) -> None:
    client = Path(bifrost.__file__).parent / "js" / "compute" / "ranges.js"
    script = tmp_path / "seed.cjs"
    script.write_text(
        f"const {{ DistributionRange }} = require({json.dumps(str(client))});\n"
        "const all = ['random', 'randomInt', 'normalRNG'].map((name) =>"
        " new DistributionRange(50, name, [3, 9], 12345).toArray());\n"
        "process.stdout.write(JSON.stringify(all));"
    )
    done = subprocess.run(
        [str(find_node().path), str(script)], capture_output=True, text=True, check=True
    )
    for name, own in zip(
        ["random", "randomInt", "normalRNG"], json.loads(done.stdout), strict=True
    ):
        assert list(Distribution(name, 50, 3, 9, seed=12345)) == pytest.approx(own, rel=1e-14)


def test_npms_client_does_no_harm_and_is_used_with_a_scheduler(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Node(cwd=project, env={"DCP_SCHEDULER_LOCATION": None}) as node:
        assert node.run("engine = require('dcp-client').engine")["engine"] == "bifrost"
    with Node(cwd=project, env={"DCP_SCHEDULER_LOCATION": "http://127.0.0.1:1"}) as node:
        found = node.run(
            """
            const client = require('dcp-client');
            engine = client.engine ?? null;
            place = require.resolve('dcp-client');
            """
        )
        assert found["engine"] is None
        assert found["place"] == str(project / "node_modules" / "dcp-client" / "index.js")
        with pytest.raises(JSError):  # it cannot reach the scheduler, says so, and exits
            node.run("await client.init()")
    assert "127.0.0.1:1" in capfd.readouterr().err
