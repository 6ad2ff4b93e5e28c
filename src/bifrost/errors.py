"""Every exception Bifrost raises on its own account, in one place.

All of them derive from :class:`BifrostError`, and from the built-in that a
Python programmer would catch for the same mishap, where there is one.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BifrostError",
    "JSError",
    "KernelDied",
    "NodeNotFound",
    "NpmError",
    "ProtocolError",
    "RunTimeout",
    "ShareError",
]


class BifrostError(Exception):
    """Base of every error that Bifrost itself raises."""

    #: Whether it is a notebook cell's own error: then Python's frames tell its author nothing.
    is_from_cell = False

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a Python traceback; without it, the usual one."""
        if not self.is_from_cell:
            raise NotImplementedError
        lines = self._headline().splitlines()
        cause = self.__cause__
        while cause is not None:
            lines += ["", f"caused by {cause}"]
            cause = cause.__cause__
        return lines

    def _headline(self) -> str:
        return f"{type(self).__name__}: {self}"


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


class JSError(BifrostError):
    """An exception thrown by JavaScript (or the reason of a rejected promise).

    Attributes:
        name: the JavaScript error's name, such as ``"TypeError"``.
        message: its message.
        stack: the JavaScript stack, without Bifrost's own frames (may be empty).
        properties: the error's own enumerable properties, converted (``code``, ...).
        value: what was thrown, converted, when it was not an Error object.

    A JavaScript ``cause`` is the exception's ``__cause__``.
    """

    def __init__(
        self,
        name: str,
        message: str,
        stack: str = "",
        properties: dict[str, Any] | None = None,
        value: Any = None,
    ) -> None:
        super().__init__(name, message, stack, properties, value)
        self.name = name
        self.message = message
        self.stack = stack
        self.properties = properties or {}
        self.value = value
        #: The JavaScript error itself; sent back, it is that object again.
        self.origin: Any = None

    def _headline(self) -> str:
        return str(self)

    def __str__(self) -> str:
        head = f"{self.name}: {self.message}" if self.message else self.name
        # V8's stack repeats the head; what follows it are the frames.
        frames = [line for line in self.stack.splitlines() if line.startswith("    at ")]
        return "\n".join([head, *frames])


class RunTimeout(BifrostError, TimeoutError):
    """JavaScript ran longer than the ``timeout`` it was given, and was stopped."""


class KernelDied(BifrostError, ConnectionError):
    """The Node.js process ended while it was needed. The next call starts a new one.

    Attributes:
        exit_code: its exit status; negative is the number of the signal that ended it.
        stderr: the last lines it wrote to standard error.
    """

    def __init__(self, exit_code: int | None, stderr: str = "") -> None:
        super().__init__(exit_code, stderr)
        self.exit_code = exit_code
        self.stderr = stderr
        #: Whether some call has raised it.
        self.announced = False

    def __str__(self) -> str:
        if self.exit_code is None:
            how = "ended"
        elif self.exit_code < 0:
            how = f"was ended by signal {-self.exit_code}"
        else:
            how = f"ended with exit code {self.exit_code}"
        text = f"Node.js {how}; its variables are lost, and the next call starts a new one"
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
