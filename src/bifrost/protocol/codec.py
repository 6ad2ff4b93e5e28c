"""Values to bytes and back, for one session.

What is outside the value itself -- shared memory, references, registered types -- is
behind the small interface `Surroundings`.
"""

from __future__ import annotations

from typing import Any, Protocol

import ormsgpack

from .decoder import Inward, decode
from .encoder import Outward, encode
from .leaves import ext
from .messages import Ext


class Surroundings(Outward, Inward, Protocol):
    """What the codec needs of the session that it serves."""


class Codec:
    """Encodes and decodes the values of one session."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value.

        Raises:
            ShareError: something in it cannot cross; the error names the path to it.
        """
        return encode(value, self._around)

    def encode_exception(self, error: BaseException) -> bytes:
        """Return the bytes of an exception without its traceback; takes hardly any stack."""
        reference = ormsgpack.packb([self._around.lend(error)[0], "object"])
        parts = {
            "name": type(error).__name__,
            "message": str(error),
            "stack": "",
            "properties": {},
            "python": True,
            "origin": ext(Ext.REFERENCE, reference),
        }
        self._around.commit_shares()
        return ormsgpack.packb(ext(Ext.ERROR, ormsgpack.packb(parts)))

    def decode(self, body: bytes) -> Any:
        """Return the value of some bytes.

        Raises:
            ProtocolError: they are not a value.
            ShareError: they are one that Python cannot have.
        """
        return decode(body, self._around)
