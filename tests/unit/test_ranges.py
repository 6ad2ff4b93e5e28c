"""Input sets: what they yield, how many they say they are, and that they do it lazily."""

from __future__ import annotations

import asyncio
import base64
import http.server
import math
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import chain, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.compute.inputs import Chunks, Inputs
from bifrost.compute.ranges import Distribution, MultiRange, Range, SparseRange
from bifrost.compute.remote import RemoteDataPattern, RemoteDataSet

small = st.integers(-1000, 1000)


@given(small, small, st.integers(1, 50))
def test_a_range_includes_its_end_where_a_step_hits_it(start: int, end: int, step: int) -> None:
    signed = step if end >= start else -step
    expected = list(range(start, end + (1 if end >= start else -1), signed))
    if start == end:
        assert list(Range(start, end)) == [start]
    else:
        assert list(Range(start, end, signed)) == expected


@given(small, small, st.integers(1, 20))
def test_groups_hold_the_same_numbers(start: int, end: int, group: int) -> None:
    grouped = Range(start, end, group=group)
    assert list(chain.from_iterable(grouped)) == list(Range(start, end))
    assert all(len(one) == group for one in grouped[:-1])
    assert len(list(grouped)) == len(grouped)


@given(st.floats(-10, 10), st.floats(0.01, 3), st.integers(0, 200))
def test_steps_do_not_add_up_their_errors(start: float, step: float, index: int) -> None:
    one = Range(start, start + 201 * step, step)
    if index < len(one):
        assert one[index] == start + index * step


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("a", 3), TypeError),
        ((True, 3), TypeError),
        ((0, math.inf), ValueError),
        ((0, 10, -1), ValueError),
        ((0, 10, 0), ValueError),
        ((0, 10, 1, 0), ValueError),
        ((0, 1e30, 1), ValueError),
    ],
)
def test_ranges_that_lead_nowhere(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Range(*arguments)


def test_ranges_are_sequences() -> None:
    one = Range(0, 10**15)
    assert (one[10**14], one[-1], len(one), one[2:5]) == (10**14, 10**15, 10**15 + 1, [2, 3, 4])
    with pytest.raises(TypeError):
        one["start"]  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="of 3 inputs"):
        Range(1, 3)[3]
    assert repr(Range(0, 4, 2, 3)) == "Range(0, 4, 2, group=3)"


@given(st.lists(st.lists(small, max_size=4), max_size=4))
def test_a_multi_range_is_the_product_with_its_right_end_fastest(lists: list[list[int]]) -> None:
    both = MultiRange(*lists)
    assert list(both) == [list(each) for each in product(*lists)]
    assert len(both) == math.prod(map(len, lists))


@given(st.lists(st.lists(small, max_size=4), max_size=4))
def test_a_sparse_range_is_one_after_the_other(lists: list[list[int]]) -> None:
    one = SparseRange(*lists)
    assert (
        list(one) == list(chain.from_iterable(lists)) == [one[place] for place in range(len(one))]
    )


def test_distributions_depend_on_seed_and_index_alone() -> None:
    one = Distribution("random", 1000, 5, 7, seed=4)
    assert list(one) == list(Distribution("random", 1000, 5, 7, seed=4)) == one[:]
    assert all(5 <= item < 7 for item in one)
    assert abs(np.mean(one) - 6) < 0.05
    assert set(Distribution("randomInt", 500, 1, 4, seed=0)) == {1, 2, 3}
    drawn = Distribution("random", 3, 0, 1)
    assert list(drawn) == list(drawn)  # its seed was drawn once
    assert list(Distribution("identity", 3)) == [0, 1, 2]
    sample = np.array(Distribution("normalRNG", 4000, 10, 2, seed=1))
    assert abs(sample.mean() - 10) < 0.2
    assert abs(sample.std() - 2) < 0.2
    with pytest.raises(ValueError, match="no distribution 'cauchy'"):
        Distribution("cauchy", 3)
    with pytest.raises(TypeError, match="takes 2 parameters, not 1"):
        Distribution("random", 3, 1)


def test_inputs_know_their_length_where_it_can_be_known() -> None:
    assert Inputs([1, 2]).length == 2
    assert Inputs(range(5)).length == 5
    assert Inputs(Range(1, 5)).length == 5
    assert Inputs({3, 4}).length == 2
    assert Inputs(iter([1])).length is None
    assert Inputs(range(5))[3] == 3
    with pytest.raises(TypeError, match="one after the other"):
        Inputs(iter([1]))[0]


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, 5, None, np.float64(3)])
def test_one_value_is_no_set_of_inputs(value: Any) -> None:
    with pytest.raises(TypeError):
        Inputs(value)


def test_sentences_have_their_article() -> None:
    with pytest.raises(TypeError, match=r"^an int is no set of inputs"):
        Inputs(5)


def test_generators_are_pulled_as_needed() -> None:
    pulled = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            pulled.append(number)
            yield number

    items = iter(Inputs(numbers()))
    assert [next(items), next(items)] == [0, 1]
    assert pulled == [0, 1]


async def countdown(ended: list[str]) -> AsyncIterator[int]:
    try:
        for number in (3, 2, 1):
            await asyncio.sleep(0)
            yield number
    finally:
        ended.append("ended")


def test_async_generators_run_on_their_own_loop_or_the_given_one() -> None:
    ended: list[str] = []
    assert list(Inputs(countdown(ended))) == [3, 2, 1]

    async def elsewhere() -> list[int]:
        inputs = Inputs(countdown(ended), asyncio.get_running_loop())
        return await asyncio.to_thread(list, inputs)

    assert asyncio.run(elsewhere()) == [3, 2, 1]
    items = iter(Inputs(countdown(ended)))
    next(items)
    del items  # left early
    assert ended == ["ended"] * 3


def test_rows_and_chunks_of_arrays_are_views() -> None:
    data = np.arange(20.0).reshape(10, 2)
    rows = list(Inputs(data))
    assert Inputs(data).length == 10
    assert all(np.shares_memory(row, data) for row in rows)
    chunks = Chunks(data, 4)
    assert [one.shape for one in chunks] == [(4, 2), (4, 2), (2, 2)]
    assert all(np.shares_memory(one, data) for one in chunks)
    assert list(Chunks([1, 2, 3], 2)) == [[1, 2], [3]]
    for refused in ({"a": 1}, 5, iter([1])):
        with pytest.raises(TypeError, match="cannot be cut"):
            Chunks(refused, 2)


def test_frames_give_rows_or_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert list(Inputs(frame)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
    assert Inputs(frame)[1] == {"a": 2, "b": "y"}
    assert Inputs(frame).length == 3
    assert [list(one["b"]) for one in Chunks(frame, 2)] == [["x", "y"], ["z"]]
    frame = pandas.DataFrame({1: pandas.array([1, None], dtype="Int64"), "b": ["x", None]})
    assert list(Inputs(frame))[1]["1"] is Inputs(frame)[1]["1"] is None
    assert Inputs(frame)[0] == {"1": 1, "b": "x"}


@pytest.fixture
def site() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if secret := self.headers["Authorization"]:
                asked.append(base64.b64decode(secret.removeprefix("Basic ")).decode())
            kinds = {"json": ("application/json", b'{"n": 1}'), "txt": ("text/plain", b"words")}
            kind, body = kinds.get(self.path.rpartition(".")[2], ("image/png", b"\x89"))
            self.send_response(404 if "missing" in self.path else 200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_remote_data_is_fetched_when_it_is_needed(site: tuple[str, list[str]]) -> None:
    url, asked = site
    data = RemoteDataSet(f"{url}/a.json", f"{url}/b.txt", f"{url}/c.png", f"{url}/missing.txt")
    assert len(data) == 4
    assert asked == []
    assert data[1] == "words"
    assert asked == ["/b.txt"]
    assert [data[0], data[2]] == [{"n": 1}, b"\x89"]
    with pytest.raises(OSError, match=r"cannot fetch http://127\.0\.0\.1:\d+/missing\.txt: 404"):
        data[3]
    assert list(RemoteDataPattern(f"{url}/{{slice}}.txt", 2)) == ["words"] * 2
    assert asked[-2:] == ["/1.txt", "/2.txt"]
    assert list(RemoteDataSet("data:text/plain,hello")) == ["hello"]
    assert RemoteDataSet(url.replace("//", "//me:a%20b@") + "/d.txt")[0] == "words"
    assert asked[-2:] == ["/d.txt", "me:a b"]


def test_what_is_no_address() -> None:
    with pytest.raises(ValueError, match="no address of http"):
        RemoteDataSet("file:///etc/passwd")
    with pytest.raises(ValueError, match=r"has no \{slice\}"):
        RemoteDataPattern("http://a/b", 3)
    with pytest.raises(OSError, match=r"cannot fetch http://127\.0\.0\.1:1/x: ") as caught:
        RemoteDataSet("http://user:secret@127.0.0.1:1/x")[0]
    assert "secret" not in str(caught.value)
