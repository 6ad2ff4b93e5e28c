"""The vectors through Python's codec alone: the bytes that are fixed, and what they mean."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from bifrost import ShareError
from bifrost.protocol.codec import Codec
from support import vectors
from support.same import same
from support.surroundings import Surroundings

SENT = [entry for entry in vectors.ENTRIES if "toNode" in entry]
RECEIVED = [entry for entry in vectors.ENTRIES if "toPython" in entry]
REFUSED = [e for e in vectors.ENTRIES if "refused" in e and "python" in e]
SHARED = [
    e for e in vectors.ENTRIES if "python" in e and "np." in e["python"] and "refused" not in e
]


@pytest.mark.parametrize("entry", SENT, ids=vectors.name)
def test_bytes_to_node(entry: dict[str, Any]) -> None:
    around = Surroundings()
    assert Codec(around).encode(vectors.make(entry["python"])).hex() == entry["toNode"]


@pytest.mark.parametrize("entry", RECEIVED, ids=lambda entry: entry["js"][:60])
def test_bytes_from_node(entry: dict[str, Any]) -> None:
    got = Codec(Surroundings()).decode(bytes.fromhex(entry["toPython"]))
    assert same(got, vectors.expected(entry, "home"))


@pytest.mark.parametrize("entry", REFUSED, ids=vectors.name)
def test_refused(entry: dict[str, Any]) -> None:
    around = Surroundings()
    with pytest.raises(ShareError, match=entry["refused"]) as caught:
        Codec(around).encode({"a": [None, vectors.make(entry["python"])]})
    assert caught.value.path == "$.a[1]"
    assert around.undos


@pytest.mark.parametrize("entry", SHARED, ids=vectors.name)
def test_arrays_and_numpy_scalars(entry: dict[str, Any]) -> None:
    codec = Codec(Surroundings())
    value = vectors.make(entry["python"])
    got = codec.decode(codec.encode([value, value]))
    if hasattr(value, "shape") and value.shape != ():
        assert got[0] is got[1]
        assert got[0].tobytes() == value.astype(got[0].dtype).tobytes()


def test_the_page_of_values_is_up_to_date() -> None:
    script = vectors.FILE.parents[2] / "docs" / "make_values.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run `make docs`"
