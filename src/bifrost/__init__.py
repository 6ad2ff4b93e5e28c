"""Bifrost: Python and a real Node.js in one workspace.

>>> from bifrost import node
>>> node.run("y = x.map(n => n * 2)", {"x": [1, 2, 3]})["y"]
[2, 4, 6]

In IPython and Jupyter, ``from bifrost import node`` also gives the ``%%node`` cell magic.
Importing starts nothing; Node.js starts when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from .errors import (
    BifrostError,
    JSError,
    KernelDied,
    NodeNotFound,
    NpmError,
    ProtocolError,
    RunTimeout,
    ShareError,
)

if TYPE_CHECKING:
    from . import compute, tfjs
    from .frontend.events import on, once
    from .frontend.node import Node
    from .frontend.npm import Npm
    from .protocol.undefined import undefined
    from .runtime.arena import asarray, empty, zeros
    from .runtime.passing import copy, proxy, transfer
    from .runtime.proxy import JSObject

    node: Node
    npm: Npm

__version__ = "0.1.0"

__all__ = [
    "BifrostError",
    "JSError",
    "JSObject",
    "KernelDied",
    "Node",
    "NodeNotFound",
    "NpmError",
    "ProtocolError",
    "RunTimeout",
    "ShareError",
    "asarray",
    "compute",
    "copy",
    "empty",
    "node",
    "npm",
    "on",
    "once",
    "proxy",
    "tfjs",
    "transfer",
    "undefined",
    "zeros",
]

_HOMES = {
    "JSObject": "runtime.proxy",
    "Node": "frontend.node",
    "asarray": "runtime.arena",
    "copy": "runtime.passing",
    "empty": "runtime.arena",
    "on": "frontend.events",
    "once": "frontend.events",
    "proxy": "runtime.passing",
    "transfer": "runtime.passing",
    "undefined": "protocol.undefined",
    "zeros": "runtime.arena",
}


def _is_subinterpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # since and before Python 3.13
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() != interpreters.get_main())
    return False


def __getattr__(name: str) -> Any:
    """Load what is asked for, so that `import bifrost` costs nothing."""
    value: Any
    if name in __all__ and _is_subinterpreter():
        raise RuntimeError(
            "Bifrost works in the main interpreter of a process only, as NumPy does; this is a"
            " sub-interpreter (under mod_wsgi, WSGIApplicationGroup %{GLOBAL} chooses the main one)"
        )
    if name == "node":
        from .frontend.node import Node

        value = Node()
    elif name == "npm":
        from .frontend.npm import Npm

        value = Npm()
    elif name in ("compute", "tfjs"):
        value = importlib.import_module(f".{name}", __name__)
    elif name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    if name == "node" and "IPython" in sys.modules:
        _load_magics()
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load_magics() -> None:
    """In a notebook or an IPython terminal, `from bifrost import node` brings the magics."""
    shell = sys.modules["IPython"].get_ipython()
    if shell is not None:
        load_ipython_extension(shell)


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext bifrost`` calls."""
    from .frontend.magics import register

    register(shell)
