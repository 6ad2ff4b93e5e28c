"""Laws of the wire, from Python's side: split anywhere, and garbage gives one error."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost import ProtocolError, ShareError
from bifrost.protocol.codec import Codec
from bifrost.protocol.framing import HEADER_SIZE, MAX_BODY, FrameReader, pack
from bifrost.protocol.messages import Ext, Message
from support import vectors
from support.surroundings import Surroundings

FRAMES = st.lists(
    st.tuples(st.sampled_from(Message), st.integers(0, 2**32 - 1), st.binary(max_size=200)),
    max_size=8,
)
BODIES = [
    bytes.fromhex(entry[key])
    for entry in vectors.ENTRIES
    for key in ("toNode", "toPython")
    if key in entry
]


def read_all(reader: FrameReader) -> list[tuple[Message, int, bytes]]:
    out = []
    while (frame := reader.next()) is not None:
        out.append(frame)
    return out


@given(FRAMES, st.data())
def test_frames_may_be_split_anywhere(
    frames: list[tuple[Message, int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(pack(*frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    for bounds in ([0, *cuts, len(stream)], range(len(stream) + 1)):
        reader = FrameReader()
        got = []
        for start, end in itertools.pairwise(bounds):
            reader.feed(stream[start:end])
            got += read_all(reader)
        assert got == frames


@given(st.binary(max_size=100))
def test_garbage_on_the_pipe(data: bytes) -> None:
    reader = FrameReader()
    reader.feed(data)
    try:
        for kind, _, body in read_all(reader):
            assert isinstance(kind, Message)
            assert len(body) <= len(data)
    except ProtocolError:
        pass


@pytest.mark.parametrize("header", [b"\xff\xff\xff\xff\x01\0\0\0\0", b"\0\0\0\0\x06\0\0\0\0"])
def test_an_impossible_header_is_refused_at_once(header: bytes) -> None:
    assert len(header) == HEADER_SIZE
    assert int.from_bytes(header[:4], "little") > MAX_BODY or header[4] not in list(Message)
    reader = FrameReader()
    reader.feed(header)
    with pytest.raises(ProtocolError):
        reader.next()


def check(body: bytes) -> None:
    try:
        Codec(Surroundings()).decode(body)
    except (ProtocolError, ShareError):
        pass


def test_damaged_payloads() -> None:
    """Each vector cut short, made longer, and with bytes of it changed."""
    chance = random.Random(7)
    for body in BODIES:
        for end in range(len(body)):
            with pytest.raises((ProtocolError, ShareError)):
                Codec(Surroundings()).decode(body[:end])
        with pytest.raises(ProtocolError):
            Codec(Surroundings()).decode(body + chance.randbytes(3))
        for _ in range(20):
            damaged = bytearray(body)
            for _ in range(chance.randint(1, 3)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            check(bytes(damaged))


@settings(max_examples=1000)
@given(st.binary(max_size=60))
def test_garbage_payloads(body: bytes) -> None:
    check(body)


@settings(max_examples=2000)
@given(
    st.sampled_from(Ext),
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.one_of(st.none(), st.integers(-(2**63), 2**63), st.text(max_size=4), st.floats()),
            lambda inner: st.one_of(
                st.lists(inner, max_size=8), st.dictionaries(st.text(max_size=3), inner, max_size=4)
            ),
            max_leaves=12,
        ).map(lambda value: Codec(Surroundings()).encode(value)),
    ),
)
def test_extensions_with_any_body(code: Ext, body: bytes) -> None:
    check(b"\xc9" + len(body).to_bytes(4, "big") + bytes([code]) + body)
    check(b"\x91\xc9" + len(body).to_bytes(4, "big") + bytes([code]) + body)


@given(st.lists(st.binary(max_size=12), max_size=4))
def test_graphs_with_any_bodies(bodies: list[bytes]) -> None:
    node = b"\xd4\x14"
    bodies = [*bodies, node + b"\x00", b"\x92" + node + b"\x01" + node + b"\x02"]
    packed = Codec(Surroundings()).encode(bodies)
    check(b"\xc9" + len(packed).to_bytes(4, "big") + bytes([Ext.GRAPH]) + packed)
