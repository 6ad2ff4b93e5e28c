"""Every exception Bifrost raises on its own account, in one place.

All of them derive from :class:`BifrostError`, and from the built-in that a
Python programmer would catch for the same mishap, where there is one.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Final, cast

__all__ = [
    "BifrostError",
    "ConversionError",
    "JSError",
    "JobError",
    "JournalError",
    "KernelDied",
    "ModuleError",
    "NodeNotFound",
    "NpmError",
    "ProtocolError",
    "RunTimeout",
    "SandboxError",
    "ShareError",
    "SliceError",
]


class BifrostError(Exception):
    """Base of every error that Bifrost itself raises."""


class NodeNotFound(BifrostError, FileNotFoundError):
    """No usable Node.js was found; the message lists where was looked and what to do."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ProtocolError(BifrostError):
    """The bytes from the other side are not what docs/protocol.md allows."""


class ShareError(BifrostError, TypeError):
    """A value cannot cross between Python and JavaScript.

    Attributes:
        path: where the value sits inside what was sent, such as ``$.a[3].b``.
        kind: the type of the value, as its own language names it.
    """

    def __init__(self, path: str, kind: str, advice: str) -> None:
        super().__init__(f"{path}: {kind} cannot cross between Python and JavaScript; {advice}")
        self.path = path
        self.kind = kind
        self.advice = advice

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self.kind, self.advice))


class _ByName(type):
    """Makes `JSError.TypeError`: a class of exceptions for each name of a JavaScript class.

    An `except` clause asks for real base classes. So the exception for an error whose
    classes are PaymentError and Error is of a class made for this chain, whose bases are
    `JSError.PaymentError` and `JSError.Error`; these have no base but JSError itself, so
    any chain of names goes together. The classes live as long as anybody uses them.
    """

    def __getattr__(cls, name: str) -> type[JSError]:
        if cls is not JSError or not _is_class_name(name):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return _class_of((name,))

    def __repr__(cls) -> str:
        names = cls.__dict__.get("_names")
        return f"<class 'bifrost.JSError.{names[0]}'>" if names else super().__repr__()


class JSError(BifrostError, metaclass=_ByName):
    """An exception thrown by JavaScript (or the reason of a rejected promise).

    Each JavaScript class of errors can be caught by its name, the user's own as well;
    base classes catch what is derived from them, as `instanceof` does::

        try:
            node.run("null.x")
        except JSError.TypeError as error:
            print(error.message)

    An error's own `name` counts as one of its classes, for many have no other. What is
    thrown and is no Error is a `JSError.Thrown`.

    Attributes:
        name: the JavaScript error's name, such as ``"TypeError"``.
        message: its message.
        stack: the JavaScript stack, without Bifrost's own frames (may be empty). The
            traceback has the same frames.
        properties: the error's own enumerable properties, converted (``code``, ...).
        value: what was thrown, converted, when it was not an Error object.
        classes: the names of its classes, the most derived first.

    A JavaScript ``cause`` is the exception's ``__cause__``. Raised in a function that
    JavaScript calls, it is an Error of that name there.
    """

    def __new__(cls, name: str, *args: Any, **kwargs: Any) -> JSError:
        if cls is JSError:
            cls = _class_of(_chain(name, kwargs.get("classes", args[4] if len(args) > 4 else ())))
        return super().__new__(cls, name, *args)

    def __init__(
        self,
        name: str,
        message: str,
        stack: str = "",
        properties: dict[str, Any] | None = None,
        value: Any = None,
        classes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, message, stack, properties, value)
        self.name = name
        self.message = message
        self.stack = stack
        self.properties = properties or {}
        self.value = value
        self.classes = classes or _DEFAULT.get(name, (name, "Error"))
        #: The JavaScript error itself; sent back, it is that object again.
        self.origin: Any = None

    def __str__(self) -> str:
        # A class that sets no name of its own has inherited this one.
        name = self.classes[0] if self.name == "Error" else self.name
        return f"{name}: {self.message}" if self.message else name

    def __repr__(self) -> str:
        return f"JSError({self.name!r}, {self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        kind = JSError if "_names" in type(self).__dict__ else type(self)
        return (kind, (*self.args, self.classes))


_DEFAULT: Final = {"Error": ("Error",), "Thrown": ("Thrown",)}

#: The classes that are in use, by the names they stand for.
_classes: Final[weakref.WeakValueDictionary[tuple[str, ...], type[JSError]]] = (
    weakref.WeakValueDictionary()
)
_lock = threading.RLock()


def _unlock() -> None:
    global _lock
    _lock = threading.RLock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def _is_class_name(name: str) -> bool:
    return name.isidentifier() and name[0].isupper()


def _chain(name: str, classes: Any) -> tuple[str, ...]:
    """The names under which an error can be caught."""
    classes = tuple(classes or _DEFAULT.get(name, (name, "Error")))
    names = classes if name in classes else (name, *classes)
    return tuple(dict.fromkeys(filter(_is_class_name, names)))


def _class_of(names: tuple[str, ...]) -> type[JSError]:
    if not names:
        return JSError
    with _lock:
        found = _classes.get(names)
        if found is None:
            bases = (JSError,) if len(names) == 1 else tuple(_class_of((name,)) for name in names)
            # To those who print its name it is a JSError: the text begins with JavaScript's.
            body = {"__module__": JSError.__module__, "__doc__": JSError.__doc__, "_names": names}
            found = _classes[names] = cast("type[JSError]", _ByName("JSError", bases, body))
        return found


class RunTimeout(BifrostError, TimeoutError):
    """JavaScript ran longer than the ``timeout`` it was given, and was stopped."""


class KernelDied(BifrostError, ConnectionError):
    """The Node.js process ended while it was needed. The next call starts a new one.

    Attributes:
        exit_code: its exit status; negative is the number of the signal that ended it.
        stderr: the last lines it wrote to standard error.
        reason: what happened and what to do, where more is known than the exit status.
    """

    def __init__(self, exit_code: int | None, stderr: str = "", reason: str = "") -> None:
        super().__init__(exit_code, stderr, reason)
        self.exit_code = exit_code
        self.stderr = stderr
        self.reason = reason
        #: Whether some call has raised it.
        self.announced = False

    def anew(self) -> KernelDied:
        """The same, for a call to raise: a traceback, and what that holds, is nobody else's."""
        self.announced = True
        return KernelDied(self.exit_code, self.stderr, self.reason)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.exit_code, self.stderr, self.reason))

    def __str__(self) -> str:
        if self.exit_code is None:
            how = "ended"
        elif self.exit_code == -9:
            how = "was ended by signal 9 (the system sends it, too, when it runs out of memory)"
        elif self.exit_code < 0:
            how = f"was ended by signal {-self.exit_code}"
        else:
            how = f"ended with exit code {self.exit_code}"
        text = self.reason or (
            f"Node.js {how}; its variables are lost, and the next call starts a new one"
        )
        return f"{text}\nits last words:\n{self.stderr}" if self.stderr else text


class NpmError(BifrostError):
    """npm failed.

    Attributes:
        command: the npm command line, as a list of words.
        exit_code: npm's exit status.
        log: what npm printed.
        advice: the next step, where Bifrost knows one.
    """

    def __init__(self, command: list[str], exit_code: int, log: str, advice: str = "") -> None:
        super().__init__(command, exit_code, log, advice)
        self.command = command
        self.exit_code = exit_code
        self.log = log
        self.advice = advice

    def __str__(self) -> str:
        text = f"`npm {' '.join(self.command)}` failed with exit code {self.exit_code}"
        if self.log.strip():
            text += f"\n{self.log.strip()}"
        return f"{text}\n{self.advice}" if self.advice else text


class JobError(BifrostError):
    """A compute job did not come to all its results.

    Attributes:
        code: why, as DCP names it: ``ETOOMANYERRORS`` (slices failed for good), ``ENOMODULE``
            (the work function requires what the job does not), ``EWORK`` (it is no function),
            ``ECANCELLED``, ``EENGINE`` (workers cannot be had).
        errors: the error of each slice that failed, by its index.
        results: what the other slices came to. `Job.resume` goes on from there.
    """

    def __init__(self, code: str, message: str, errors: dict[int, BifrostError], results: Any):
        super().__init__(code, message, errors, results)
        self.code = code
        self.errors = errors
        self.results = results

    def __str__(self) -> str:
        return str(self.args[1])


class SandboxError(BifrostError):
    """Workers cannot be confined as a compute job asks for.

    Attributes:
        missing: the layers that this system lacks, and why.
    """

    def __init__(self, message: str, missing: dict[str, str]) -> None:
        super().__init__(message, missing)
        self.missing = missing

    def __str__(self) -> str:
        return str(self.args[0])


class SliceError(BifrostError):
    """A slice of a compute job had to be given up, and not because its function threw.

    Attributes:
        code: ``EDIED`` (its worker ended), ``EMEMORY`` (it used more than the policy allows),
            ``ESLICETOOSLOW``, ``ENOPROGRESS`` (it ran longer), ``EPROTOCOL`` (its worker sent
            what no worker sends).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.args[1]}"


class JournalError(BifrostError, ValueError):
    """A job's journal cannot be used: it is another job's, or none."""


class ModuleError(BifrostError, LookupError):
    """A module cannot be required, or published, as it was named.

    Attributes:
        module: the name.
        code: ``'ENOMODULE'`` (there is none of that name, or a sandbox cannot run it) or
            ``'EVERSION'`` (its version does not go with another).
    """

    def __init__(self, module: str, message: str, code: str = "ENOMODULE") -> None:
        super().__init__(module, message, code)
        self.module = module
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


class ConversionError(BifrostError, ValueError):
    """A model cannot be converted; the message names the layer and what it has."""
