"""JavaScript objects as Python sees them: they stay in Node.js, Python holds a reference."""

from __future__ import annotations


class JSObject:
    """A JavaScript function, class instance, promise, ... that lives in Node.js.

    Python can keep it, and send it back: there it is the same object again (``===``).
    The JavaScript object lives as long as this one does.
    """

    __slots__ = ("__weakref__", "_id", "_kind", "_preview")

    def __init__(self, ident: int, kind: str, preview: str) -> None:
        self._id = ident
        self._kind = kind
        self._preview = preview

    def __repr__(self) -> str:
        return f"<JavaScript {self._kind}: {self._preview}>"
