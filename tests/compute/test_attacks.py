"""What work functions may try: each attack of the table, really run; see docs/sandbox.md."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bifrost.compute import sandbox, seccomp
from bifrost.compute.engine import Work, new_id
from bifrost.compute.policy import Policy
from bifrost.compute.worker import Worker, WorkerDied
from bifrost.protocol import parcels
from support.attacks import Attack, from_inside, read, system_calls
from support.canaries import Canaries, canaries

INNER, SOURCES, HOST, FORGED, GREED = map(read, ("inner", "sources", "host", "forged", "greed"))
SUPPORT = Path(__file__).parent.parent / "support"
LINUX = sys.platform.startswith("linux")
MEMORY = 128 << 20
#: What a slice may take that would take for ever, and what one may that has to come to an end.
SECONDS, LONG = 0.7, 60.0
THREADS = 2

#: Who refuses in these words.
REFUSALS = {
    "ERR_ACCESS_DENIED": "permissions",
    "ERR_DLOPEN_DISABLED": "permissions",
    "EACCES": "landlock",
    "EPERM": "seccomp",
}

Observed = list[tuple[Any, ...]]


def attempt(source: str, slices: int = 1, **rules: Any) -> Observed:
    """Run slices of some source in a worker of its own; what came of it, its end included."""
    policy = Policy(**{"slice_timeout": LONG, "memory": MEMORY, **rules})
    nothing = b"".join(parcels.pack([]))
    seen: Observed = []
    with Worker(policy.sandbox, policy.memory) as worker:
        worker.assign(Work(new_id(), source, nothing, (), nothing, policy))
        try:
            worker.run(
                [parcels.pack(n) for n in range(slices)],
                lambda position, what, *details: seen.append((what, *details)),
            )
        except WorkerDied as death:
            seen.append(("died", death.code, death.reason))
    return seen


def text_of(observed: Observed) -> str:
    """What the last slice answered, or the code of its end."""
    what, *details = observed[-1]
    if what == "result":
        return str(parcels.unpack(details[1]))
    code: str = details[0]["code"] if what == "error" else details[0]
    return code


def each(attacks: list[Attack], run: Callable[[Attack], Any]) -> dict[str, Any]:
    """Run attacks, some at a time; what came of each."""
    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip([a.name for a in attacks], pool.map(run, attacks), strict=True))


def by_name(attacks: list[Attack]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attack", attacks, ids=lambda attack: attack.name)


@pytest.fixture(scope="module")
def around() -> Iterator[Canaries]:
    with canaries() as made:
        yield made


# -- from the inner realm


@pytest.fixture(scope="module")
def inner() -> dict[str, str]:
    return each(INNER, lambda attack: text_of(attempt(from_inside(attack), 2)))


@by_name(INNER)
def test_attacks_from_the_inner_realm(attack: Attack, inner: dict[str, str]) -> None:
    assert inner[attack.name] == "nothing found"


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return each(SOURCES, lambda attack: text_of(attempt(attack.code)))


@by_name(SOURCES)
def test_attacks_by_the_source_or_the_result(attack: Attack, sources: dict[str, str]) -> None:
    assert "breach" not in sources[attack.name]


# -- from the host realm


def escape(
    attacks: list[Attack], around: Canaries, *, trusted: bool = False, without: str = ""
) -> dict[str, str]:
    """Run attacks in a Node.js that is confined as workers are, but with nothing taken from it."""
    found = sandbox.survey()
    layers = {"parent"} if trusted else {*sandbox.LAYERS} - {without}
    policy = sandbox._policy(found, MEMORY, SUPPORT / "escaped.js", layers - {*found.missing})
    lines = {
        attack.name: json.dumps(
            [attack.name, attack.code, {**around.given, "file": str(around.file(number))}]
        )
        for number, attack in enumerate(attacks)
    }
    answers: dict[str, str] = {}
    while rest := [name for name in lines if name not in answers]:
        answers |= converse(policy, "\n".join(lines[name] for name in rest) + "\n\n")
        if lost := [name for name in lines if name not in answers]:
            answers[lost[0]] = "refused: it ended Node.js"
    return answers


def converse(policy: dict[str, Any], text: str) -> dict[str, str]:
    """Start `escaped.js`, send it some lines, and read its own until it ends."""
    child = sandbox._start(policy)
    for fd in (child.requests, child.replies, child.output):
        os.set_blocking(fd, True)
    with (
        child.process as process,
        open(child.replies, "rb") as replies,
        open(child.output, "rb") as output,
        open(child.requests, "wb") as requests,
        ThreadPoolExecutor(2) as pool,
    ):
        said = pool.submit(output.read)
        answers = pool.submit(replies.read)
        with contextlib.suppress(BrokenPipeError):
            requests.write(text.encode())
            requests.flush()
        lines = answers.result().decode().split("\n")
        assert len(lines) > 1, said.result().decode()  # it says first that it has begun
        process.wait(30)
    return dict(json.loads(line) for line in lines if line)


@pytest.fixture(scope="module")
def confined(around: Canaries) -> dict[str, str]:
    return escape(HOST, around)


@pytest.fixture(scope="module")
def without_permissions(around: Canaries) -> dict[str, str]:
    return escape(HOST, around, without="permissions")


@by_name(HOST)
def test_attacks_from_the_host_realm(
    attack: Attack, confined: dict[str, str], around: Canaries
) -> None:
    answer = confined[attack.name]
    if LINUX or attack.layer in ("permissions", "surroundings"):
        assert "breach" not in answer
    if LINUX and sandbox.survey().node.version >= (24,):
        # So that the table is true. (Later versions may refuse more by permissions.)
        layer = REFUSALS.get(answer.removeprefix("refused: "), attack.layer)
        assert layer in (attack.layer, "permissions"), answer
    assert not around.harm()


@pytest.mark.skipif(not LINUX, reason="Landlock and seccomp are Linux's")
@by_name([attack for attack in HOST if not attack.alone])
def test_attacks_that_the_kernel_has_to_stop(
    attack: Attack, without_permissions: dict[str, str], around: Canaries
) -> None:
    assert "breach" not in without_permissions[attack.name]
    assert not around.harm()


# -- the suite itself: without the layers, the same attacks get through


def test_without_layers_the_attacks_on_the_host_get_through() -> None:
    proven = [attack for attack in HOST if attack.proven]
    assert len(proven) > 30
    with canaries() as others:
        answers = escape(proven, others, trusted=True)
    assert not {name: text for name, text in answers.items() if "breach" not in text}


#: A realm as one would make it without much thought: what it has is the host's.
NAIVE = """
const vm = require('vm'), { inspect } = require('util');
const { URL, TextEncoder, TextDecoder, crypto } = globalThis;
const console = { log: (...args) => inspect(args[0]), count() {}, time() {} };
return await vm.runInNewContext(SOURCE, {
  console, crypto, setTimeout, clearTimeout, queueMicrotask, URL, TextEncoder, TextDecoder,
  performance, require, structuredClone, progress() {}, work: { emit() {} },
})()
"""


def test_from_a_naive_realm_the_inner_attacks_get_through(around: Canaries) -> None:
    proven = [attack for attack in INNER if attack.proven]
    assert len(proven) > 8

    def run(attack: Attack) -> str:
        code = NAIVE.replace("SOURCE", json.dumps(f"({from_inside(attack)})"))
        return escape([Attack(attack.name, code, "")], around, trusted=True)[attack.name]

    answers = each(proven, run)
    assert not {name: text for name, text in answers.items() if "breach" not in text}


# -- from native code

#: Makes the system calls that it is told, and says which errors they came to.
CALLER = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
answers = {}
for text, number, arguments in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    done = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(n) for n in arguments))
    answers[text] = ctypes.get_errno() if done < 0 else 0
print(json.dumps(answers))
"""
#: Those of the calls that do no harm where they are allowed.
HARMLESS = ("socket 2 1 0", "socketpair 1 1 0 7", "kill {victim} 0", "pidfd_open {victim} 0")


def numbers() -> dict[str, int]:
    """Of the system calls on this machine, by name."""
    rules = seccomp.rules()
    assert rules is not None
    known = seccomp.numbers()
    known |= dict(zip(("kill", "tgkill"), rules["own"], strict=True))
    known |= {"prlimit64": rules["itself"][0], "prctl": rules["without"][0][0]}
    return known | {"clone": rules["with"][0][0], "execve": rules["exec"]}


def native(calls: list[str], around: Canaries, layers: set[str]) -> dict[str, int]:
    """Make system calls from a Python that is confined by some layers; the errors of each."""
    told = []
    for text in calls:
        name, *arguments = text.format(victim=around.victim.pid).split()
        if name in numbers():
            told.append((text, numbers()[name], [int(word) for word in arguments]))
    policy = sandbox._policy(sandbox.survey(), MEMORY, SUPPORT / "escaped.js", layers)
    policy["command"] = [os.path.realpath(sys.executable), "-I", "-S", "-c", CALLER]
    policy["command"].append(json.dumps(told))
    done = subprocess.run(
        sandbox._words({**policy, "keep": [0, 1, 2]}), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    answers: dict[str, int] = json.loads(done.stdout)
    return answers


@pytest.mark.skipif(not LINUX, reason="seccomp is Linux's")
def test_system_calls_from_native_code(around: Canaries) -> None:
    # Python cannot be started under the other layers; seccomp has to do it alone.
    answers = native(system_calls(), around, {"seccomp"})
    assert len(answers) > 50
    assert {name: code for name, code in answers.items() if code not in (1, 38)} == {}
    loose = native([*HARMLESS], around, set())
    assert set(loose.values()) <= {0, 14}, loose  # 14: there was nothing at the address


# -- by lies


@by_name(FORGED)
def test_forged_frames(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    lying = functools.partial(sandbox.spawn, main=SUPPORT / "forger.js")
    with monkeypatch.context() as patch:
        patch.setattr(sandbox, "spawn", lying)
        observed = attempt(f"/*<*/{attack.code}/*>*/", 2, slice_timeout=SECONDS)
    assert observed[-1][0] == "died", observed
    # (What nobody reads in time takes the memory of who wrote it.)
    assert observed[-1][1] in ("EPROTOCOL", "EDIED", "ESLICETOOSLOW", "EMEMORY"), observed


# -- by greed


@pytest.fixture(scope="module")
def greedy() -> dict[str, Observed]:
    def run(attack: Attack) -> Observed:
        return attempt(attack.code, slice_timeout=SECONDS if attack.layer == "deadline" else LONG)

    return each(GREED, run)


@by_name(GREED)
def test_greed(attack: Attack, greedy: dict[str, Observed]) -> None:
    assert text_of(greedy[attack.name]) in attack.ends, greedy[attack.name][-1]


def test_that_all_of_it_did_no_harm(around: Canaries) -> None:
    assert not around.harm()
    assert text_of(attempt("() => 'alive'")) == "alive"
