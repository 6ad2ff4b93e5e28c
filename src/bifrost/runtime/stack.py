"""How deep calls between Python and JavaScript may nest before they raise RecursionError.

Python's recursion limit counts frames of Python; each level of calls between the two
languages takes C's stack too, and a thread may have little of that. Running out of it would
end the process.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Final

#: How many frames of Python's stack a call may need for itself.
_FRAMES: Final = 80
#: What one level of nesting may take of C's stack; about a third of it was measured.
_LEVEL: Final = 8 << 10
#: What is assumed of a system that does not tell the size of a thread's stack.
_USUAL: Final = 512 << 10


class _Nesting(threading.local):
    """Of each thread: how many functions of Python's that JavaScript called it is in."""

    depth = 0
    limit = 0  # unknown until calls nest


nesting = _Nesting()


def check_stack() -> None:
    """Raise RecursionError now, rather than anywhere between two bytes of a message."""
    depth = nesting.depth
    if depth > nesting.limit and depth > _find_limit():
        raise RecursionError(
            f"calls between Python and JavaScript are nested {depth} deep, which is all that"
            " this thread's stack has room for (threading.stack_size)"
        )
    try:
        # A frame counts twice towards the limit where C called it (before Python 3.12).
        sys._getframe(max(0, sys.getrecursionlimit() // 2 - _FRAMES))
    except ValueError:
        return
    try:
        _descend(_FRAMES)
    except RecursionError:
        pass
    else:
        return
    raise RecursionError("maximum recursion depth exceeded in calls between Python and JavaScript")


def _descend(frames: int) -> None:
    if frames:
        _descend(frames - 1)


def _find_limit() -> int:
    nesting.limit = max(1, _stack_size() // _LEVEL)
    return nesting.limit


def _stack_size() -> int:
    """The size of this thread's stack in bytes."""
    try:
        return _ask_pthreads()
    except (OSError, AttributeError, ValueError):
        return _USUAL


def _ask_pthreads() -> int:
    library = ctypes.CDLL(None)
    thread = library.pthread_self
    thread.restype = ctypes.c_void_p
    if sys.platform == "darwin":
        size = library.pthread_get_stacksize_np
        size.restype = ctypes.c_size_t
        return int(size(ctypes.c_void_p(thread())))
    attributes = ctypes.create_string_buffer(256)  # a pthread_attr_t: 56 bytes or so
    if library.pthread_getattr_np(ctypes.c_void_p(thread()), attributes):
        raise OSError
    size = ctypes.c_size_t()
    failed = library.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    library.pthread_attr_destroy(attributes)
    if failed:
        raise OSError
    return size.value
