"""Parcels: values that travel alone."""

from __future__ import annotations

import datetime
import random

import numpy as np
import pytest

from bifrost import JSError, undefined
from bifrost.errors import BifrostError, ProtocolError, ShareError
from bifrost.protocol import parcels


def through(value):
    return parcels.unpack(b"".join(parcels.pack(value)))


def test_plain_values_arrive_as_they_were():
    value = {"a": [1, 2.5, None, "ü\ud800", 1 << 80], "b": (True, undefined), "c": {1, 2}}
    value["d"] = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
    assert through(value) == {**value, "b": [True, undefined]}


def test_arrays_lie_behind_the_body_and_can_be_changed():
    value = {"x": np.arange(5, dtype="f4"), "y": np.arange(6).reshape(2, 3).T, "z": b"b" * 100_000}
    came = through(value)
    np.testing.assert_array_equal(came["x"], value["x"])
    np.testing.assert_array_equal(came["y"], value["y"])
    assert came["x"].dtype == "f4"
    assert came["z"] == value["z"]
    came["x"][0] = 7
    assert came["x"][0] == 7
    assert through(np.empty((0, 3))).shape == (0, 3)


def test_arrays_are_not_copied_to_be_packed():
    array = np.arange(1000)
    pieces = parcels.pack([array])
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), array) for piece in pieces)
    assert parcels.size(pieces) == len(b"".join(pieces))


def test_what_occurs_twice_occurs_twice():
    array = np.arange(3.0)
    shared = [array]
    came = through({"a": shared, "b": shared})
    assert came["a"] is came["b"]


def test_read_only_arrays_stay_so():
    array = np.arange(3)
    array.flags.writeable = False
    assert not through(array).flags.writeable


def test_errors_travel_without_their_object():
    try:
        raise ValueError("no") from KeyError("k")
    except ValueError as error:
        came = through({"error": error})["error"]
    assert isinstance(came, JSError)
    assert came.name == "ValueError"
    assert came.message == "no"


@pytest.mark.parametrize("value", [print, object(), open], ids=["builtin", "object", "function"])
def test_what_cannot_travel_is_named_with_its_path(value):
    with pytest.raises(ShareError, match=r"\$\.a\[1\]\.b"):
        parcels.pack({"a": [1, {"b": value}]})


def test_garbage_is_one_defined_error():
    chance = random.Random(7)
    good = b"".join(parcels.pack({"a": np.arange(9), "b": [b"x" * 70_000], "c": "text"}))
    for end in [*range(120), len(good) - 1]:
        with pytest.raises(ProtocolError):
            parcels.unpack(good[:end])
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(3):
            data[chance.randrange(100)] = chance.randrange(256)
        try:
            parcels.unpack(data)
        except BifrostError:
            pass


def test_arrays_come_from_any_memory_and_are_aligned():
    whole = b"".join(parcels.pack(np.arange(4.0)))
    shifted = memoryview(bytearray(b"x" + whole))[1:]
    for data in (whole, bytearray(whole), shifted, shifted.toreadonly()):
        array = parcels.unpack(data)
        assert array.flags.aligned
        array[0] = 5
        np.testing.assert_array_equal(array, [5, 1, 2, 3])
    writable = bytearray(whole)
    parcels.unpack(writable)[0] = 5
    assert bytes(writable) != whole
