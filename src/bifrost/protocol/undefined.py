"""JavaScript's ``undefined``, which is not ``null`` (Python's None)."""

from __future__ import annotations

from typing import Final, final


@final
class Undefined:
    """The type of :data:`undefined`: one value, falsy, equal only to itself."""

    _instance: Undefined | None = None

    def __new__(cls) -> Undefined:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"

    def __reduce__(self) -> str:
        return "undefined"


undefined: Final = Undefined()
