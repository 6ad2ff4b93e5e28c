"""Messages of sandboxed workers: both vocabularies agree, the page is true, noise is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bifrost
from bifrost.compute.frames import Reader, Type, frame, parse
from bifrost.errors import ProtocolError

SANDBOX = Path(bifrost.__file__).parent / "js" / "sandbox"
DOCS = Path(__file__).parent.parent.parent / "docs"
#: Bodies that mean something, by type.
GOOD = {
    Type.STARTED: b"",
    Type.RESULT: bytes(8) + b"parcel",
    Type.ERROR: b"\x84\xa4name\xa1a\xa7message\xa1b\xa5stack\xa1c\xa4code\xa1d",
    Type.CONSOLE: b"\x93\xa3log\xa2hi\x01",
    Type.EMIT: b"\x92\xa1e\xc4\x01x",
    Type.PROGRESS: bytes(8),
}


def numbers(path: Path) -> dict[str, int]:
    block = re.search(r"const Type = Object.freeze\(\{(.*?)\}\)", path.read_text("utf-8"), re.S)
    assert block is not None
    return {name: int(number) for name, number in re.findall(r"(\w+): (\d+)", block[1])}


def test_the_vocabularies_agree() -> None:
    whole = {kind.name: int(kind) for kind in Type}
    assert numbers(SANDBOX / "channel.js") == whole
    assert numbers(SANDBOX / "inner" / "messages.js").items() <= whole.items()
    page = (DOCS / "sandbox.md").read_text("utf-8")
    assert {
        name: int(n) for n, name in re.findall(r"^\| (\d+) \| ([A-Z]+) \|", page, re.M)
    } == whole


def test_the_page_of_the_sandbox_is_up_to_date() -> None:
    script = DOCS / "make_sandbox.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run `make docs`"


@given(st.data())
def test_frames_arrive_however_they_are_split(data: st.DataObject) -> None:
    sent = [(kind, number, body) for number, (kind, body) in enumerate(GOOD.items())]
    stream = b"".join(b"".join(frame(kind, ident, [body])) for kind, ident, body in sent)
    reader = Reader()
    got = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:cut])
        stream = stream[cut:]
        got += list(reader.frames())
    assert got == sent
    for kind, _, body in got:
        parse(kind, body)


@pytest.mark.parametrize("cut", [4099, 1 << 18, (1 << 18) + 9, 1 << 22])
def test_long_bodies_stay_what_they_were(cut: int) -> None:
    sizes = [1 << 18, (1 << 18) + 1, 1 << 20]
    sent = [(Type.RESULT, number, bytes([number]) * size) for number, size in enumerate(sizes * 2)]
    sent[2:2] = [(Type.STARTED, 9, b""), (Type.CONSOLE, 9, b"short")]
    stream = b"".join(b"".join(frame(kind, ident, [body])) for kind, ident, body in sent)
    reader = Reader()
    got = []
    for start in range(0, len(stream), cut):
        reader.feed(stream[start : start + cut])
        got += list(reader.frames())
    assert got == sent


@given(st.binary(max_size=200))
def test_noise_is_no_frame(noise: bytes) -> None:
    reader = Reader()
    reader.feed(noise)
    try:
        for kind, _, body in reader.frames():
            parse(kind, body)
    except ProtocolError:
        pass


@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=60))
def test_bodies_that_are_something_else(kind: Type, body: bytes) -> None:
    try:
        what, details = parse(kind, body)
    except ProtocolError:
        return
    assert isinstance(what, str)
    assert isinstance(details, tuple)


@pytest.mark.parametrize("kind", [0, 1, 2, 15, 23, 255])
def test_types_that_no_worker_sends(kind: int) -> None:
    reader = Reader()
    reader.feed(bytes([0, 0, 0, 0, kind, 0, 0, 0, 0]))
    with pytest.raises(ProtocolError, match=f"type {kind}"):
        list(reader.frames())
