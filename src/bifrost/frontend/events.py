"""Listeners as decorators, for Node's EventEmitters and the web's EventTargets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..runtime.proxy import JSObject

_F = TypeVar("_F", bound=Callable[..., Any])


def on(target: JSObject, event: Any) -> Callable[[_F], _F]:
    """Have the decorated function called for each event of a JavaScript object.

    ::

        @on(server, "request")
        def answer(request, response):
            response.end("hello")

        server.off("request", answer)

    The function stays what it is. It is called in the thread that waits for the JavaScript,
    or in one of Bifrost's (see :attr:`Node.loop`); what it raises goes where an error in a
    JavaScript listener goes: to who emitted the event, else it is reported.

    Args:
        target: what has `on`, as Node's EventEmitter does, or `addEventListener`.
        event: its name, or a symbol.

    Raises:
        TypeError: the object has no events.
    """
    return _listening(target, event, once=False)


def once(target: JSObject, event: Any) -> Callable[[_F], _F]:
    """Like :func:`on`, for the next event only."""
    return _listening(target, event, once=True)


def _listening(target: JSObject, event: Any, *, once: bool) -> Callable[[_F], _F]:
    if not isinstance(target, JSObject):
        raise TypeError(f"events come from a JavaScript object, not from {target!r}")
    emit = getattr(target, "once" if once else "on", None)
    add = getattr(target, "addEventListener", None) if emit is None else None
    if emit is None and add is None:
        raise TypeError(f"{target!r} has neither `on` nor `addEventListener`")

    def listen(function: _F) -> _F:
        if emit is not None:
            emit(event, function)
        elif add is not None:
            add(event, function, {"once": once})
        return function

    return listen
