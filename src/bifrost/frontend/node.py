"""`node`: JavaScript in a real Node.js process that shares its variables with Python."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import KernelDied, ShareError
from ..runtime.exchange import Registry
from ..runtime.kernel import Settings
from ..runtime.proxy import JSObject
from ..runtime.session import Session
from ..runtime.tracebacks import remember
from .workspace import Workspace

__all__ = ["Node"]


_nodes: weakref.WeakSet[Node] = weakref.WeakSet()
#: Numbers the scripts of all Nodes: tracebacks tell them apart by their names.
_runs = itertools.count(1)


def _after_fork() -> None:
    for node in list(_nodes):
        node._lock = threading.RLock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)


class Node:
    """A Node.js runtime. It starts on first use, and again if it has died.

    `bifrost.node` is the one that notebooks and `node.run` share; make others to keep
    things apart::

        with Node(memory_limit=512) as sandbox:
            sandbox.run("x = 1 + 1")["x"]

    Any number of threads may use it at once.

    Args:
        cwd: working directory, from which `require` and `import` look for packages.
            None follows Python's own, also when that changes.
        env: environment variables to add; None as a value removes one.
        node_options: command line options of the `node` executable, such as
            ``["--expose-gc"]``.
        memory_limit: limit of the JavaScript heap in MiB.
    """

    def __init__(
        self,
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        node_options: Sequence[str] = (),
        memory_limit: int | None = None,
    ) -> None:
        if isinstance(node_options, str):
            raise TypeError("node_options is a list of options, not one string")
        if memory_limit is not None and (type(memory_limit) is not int or memory_limit < 1):
            raise ValueError(f"memory_limit is a number of MiB, not {memory_limit!r}")
        self._settings = Settings(
            Path(cwd).resolve() if cwd is not None else None,
            dict(env or {}),
            tuple(node_options),
            memory_limit,
        )
        self._registry = Registry()
        _nodes.add(self)
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._farewell: weakref.finalize[Any, Any] | None = None
        self._workspace: Workspace | None = None

    def __repr__(self) -> str:
        session = self._session
        if session is None or session.dead:
            return "<bifrost.Node, not started>"
        return f"<bifrost.Node {session.facts['version']}, process {session.facts['pid']}>"

    # -- running JavaScript

    def run(
        self,
        script: str,
        vars: Mapping[str, Any] | None = None,  # noqa: A002 - the guide's word
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Run a script; return the variables.

        The script runs in the global scope, sloppy mode, and what it declares stays for
        later runs. Top-level `await`, `require`, `import ... from` and `import()` work.
        The run ends when the script has ended and, if its completion value is a promise,
        that has settled; timers live on.

        Args:
            script: JavaScript source.
            vars: variables to set first: names to values (docs/values.md says which).
            timeout: seconds after which the JavaScript is stopped; None is no limit.

        Returns:
            A new dict: the variables given, and those that the script made or changed.

        Raises:
            JSError: the script threw, or its promise was rejected.
            ShareError: a variable cannot cross to JavaScript.
            RunTimeout: it took longer than `timeout`; state is kept.
            KeyboardInterrupt: Ctrl-C; the script was stopped, state is kept.
            KernelDied: Node.js ended; the next call starts a new one.
        """
        __tracebackhide__ = True
        given = _variables(vars)
        changes, _ = self._run(script, f"run[{next(_runs)}]", "never", given, timeout)
        return {**given, **changes}

    def run_file(
        self,
        filename: str | os.PathLike[str],
        vars: Mapping[str, Any] | None = None,  # noqa: A002
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Run a file of JavaScript as :meth:`run` does; stacks name the file.

        Raises:
            OSError: the file cannot be read.
            UnicodeDecodeError: it is not UTF-8.
        """
        __tracebackhide__ = True
        path = Path(filename).resolve()
        given = _variables(vars)
        changes, _ = self._run(path.read_text(encoding="utf-8"), str(path), "never", given, timeout)
        return {**given, **changes}

    def eval(
        self,
        js: str,
        vars: Mapping[str, Any] | None = None,  # noqa: A002
        timeout: float | None = None,
    ) -> Any:
        """Run a script and return its completion value (awaited, if it is a promise).

        ::

            node.eval("a + b", {"a": 1, "b": 2})

        Raises:
            ShareError: a variable, or the value, cannot cross.
            JSError, RunTimeout, KeyboardInterrupt, KernelDied: as for :meth:`run`.
        """
        __tracebackhide__ = True
        _, value = self._run(js, f"eval[{next(_runs)}]", "always", _variables(vars), timeout)
        return value

    def run_cell(
        self,
        source: str,
        workspace: Workspace,
        filename: str,
        *,
        inputs: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
        wants_value: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Run a script that shares the variables of a namespace; what the magics do.

        Args:
            inputs: share only these names with JavaScript (None: all public ones).
            outputs: bring only these back (None: all that were made or changed).
            wants_value: return the completion value, if it is one that a notebook shows.
        """
        __tracebackhide__ = True
        self._attach(workspace)
        _, value = self._run(
            source,
            filename,
            "shown" if wants_value else "never",
            {},
            timeout,
            inputs=inputs,
            outputs=outputs,
            cell=True,
        )
        return value

    def _run(
        self,
        source: str,
        filename: str,
        wants: str,
        given: dict[str, Any],
        timeout: float | None,
        *,
        inputs: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
        cell: bool = False,
    ) -> tuple[dict[str, Any], Any]:
        __tracebackhide__ = True  # in pytest and IPython: an error's place is in the user's code
        if not isinstance(source, str):
            raise TypeError(
                f"the script is a str of JavaScript, not {type(source).__name__}"
                " (node.run_file runs a file)"
            )
        try:
            is_number = timeout is None or timeout >= 0
        except TypeError:
            raise TypeError(f"timeout is a number of seconds, not {timeout!r}") from None
        if not is_number:
            raise ValueError(f"timeout is a number of seconds, not {timeout!r}")
        session = self._live()
        memory = session.exchange.memory
        workspace = self._workspace
        if cell and workspace is not None:
            names = workspace.begin(inputs)
        else:
            names = {"add": [], "hide": [], "drop": []}
            if workspace is not None:
                workspace.forget(given)
        cwd = self._settings.cwd or Path.cwd()
        if not Path(filename).is_absolute():
            remember(filename, source)
        memory.push_mirrors()
        try:
            (made, values, value, error), stopped = session.perform(
                "run", source, filename, wants, names, given, str(cwd), timeout=timeout
            )
        except ShareError as refusal:
            # The path begins at the call's list of arguments: variables are what was given.
            path = refusal.path.replace("$[5]", "$", 1)
            raise ShareError(path, refusal.kind, refusal.advice) from None
        finally:
            memory.pull_mirrors()
        changes = dict(zip(made, values, strict=True))
        if cell and workspace is not None:
            workspace.apply(changes, outputs)
        elif workspace is not None:
            shared = {name: item for name, item in changes.items() if workspace.shares(name)}
            workspace.apply(shared)
        if stopped is not None:
            raise stopped
        if error is not None:
            try:
                raise error
            finally:
                del error  # see Session.perform
        return changes, value

    # -- objects

    def require(self, name: str) -> Any:
        """Load a CommonJS module, a built-in one or a JSON file, as `require(name)` does.

        Raises:
            JSError: there is no such module, or it threw.
        """
        return self._load("require", name)

    def import_(self, name: str) -> Any:
        """Load an ECMAScript module, as `await import(name)` does; see :meth:`require`."""
        return self._load("import", name)

    def _load(self, way: str, name: str) -> Any:
        __tracebackhide__ = True
        if not isinstance(name, str):
            raise TypeError(f"the name of a module is a str, not {type(name).__name__}")
        return self._live().call(way, name, str(self._settings.cwd or Path.cwd()))

    # -- asyncio

    @contextlib.contextmanager
    def abort_signal(self) -> Iterator[JSObject]:
        """An AbortSignal for the JavaScript that a block starts.

        It is aborted if the block is left by an exception: because the asyncio task is
        cancelled, after a time-out, at Ctrl-C. ::

            async def load(url):
                with node.abort_signal() as signal:
                    response = await fetch(url, signal=signal)
                    return await response.text()

            await asyncio.wait_for(load(url), 10)       # ends the request, too
        """
        session = self._live()
        controller = session.call("abortController")
        abort = controller.abort
        try:
            yield controller.signal
        except BaseException:
            with contextlib.suppress(KernelDied):
                # Not waited for: JavaScript may be busy, and an event loop must not be.
                session.later(lambda *_: None, "call", abort, controller, [])
            raise

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The asyncio event loop of what JavaScript calls while no thread waits for it.

        Callbacks run in the thread that waits for the JavaScript that calls them. Where
        none does (timers, servers, ``await``), they run one after the other in a thread of
        Bifrost's, and coroutines on an event loop of its own; with this set, to
        ``asyncio.get_running_loop()`` say, all of them run there, as long as it runs.
        """
        return self._loop

    @loop.setter
    def loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"loop is an asyncio event loop or None, not {loop!r}")
        self._loop = loop
        if self._session is not None:
            self._session.coroutines.loop = loop

    # -- the process

    def _live(self) -> Session:
        with self._lock:
            session = self._session
            if session is not None and session.owner == os.getpid():
                death = session.dead
                if death is None:
                    return session
                if self._farewell is not None and self._farewell.alive and not death.announced:
                    warnings.warn(f"{death}", RuntimeWarning, stacklevel=4)
            self._start()
            assert self._session is not None
            return self._session

    def _start(self) -> None:
        if self._farewell is not None:
            self._farewell.detach()
        settings = self._settings
        if "ipykernel" in sys.modules:
            # ipykernel asks its children for colours, but a cell's output is text to work with.
            settings = replace(settings, env={"FORCE_COLOR": None, **settings.env})
        session = Session(settings, self._registry, _Host(self))
        session.coroutines.loop = self._loop
        self._session = session
        # At exit, too: a Node of a Python that has ended must not go on.
        self._farewell = weakref.finalize(self, session.farewell)
        if self._workspace is not None:
            self._workspace.reset()
        for name in self._registry.deserializers:
            if name.isidentifier():
                session.call("registerClass", name)

    def _attach(self, workspace: Workspace) -> None:
        with self._lock:
            if self._workspace is not workspace:
                workspace.reset()
                self._workspace = workspace

    @property
    def info(self) -> dict[str, Any]:
        """Facts of the process (started if need be): ``version``, ``pid``, ``native``, ..."""
        return dict(self._live().facts)

    def inspect(self, port: int = 0) -> str:
        """Let a debugger attach; return the address at which Node.js listens for it.

        Chrome's DevTools open at ``devtools://devtools/bundled/js_app.html?ws=`` and the
        address without its ``ws://``; VS Code takes it as the ``websocketAddress`` of an
        attach configuration. Breakpoints and `debugger;` statements then pause the JavaScript,
        while Python waits; Ctrl-C and `timeout` let it go on, and stop it.

        Whoever can connect to the port can run any code. It listens on this machine only, and
        until Node.js ends.

        Args:
            port: the port to listen on, if it does not listen yet; 0 is any free one. DevTools
                find 9229 by themselves (``chrome://inspect``).

        Raises:
            JSError: the port is taken.
        """
        if type(port) is not int or not 0 <= port <= 65535:
            raise ValueError(f"a port is a number up to 65535, not {port!r}")
        return str(self._live().call("openInspector", port))

    def cancel(self, restart: bool = True) -> None:
        """End Node.js at once, with all its variables and whatever it is doing.

        A call that waits for it raises KernelDied.

        Args:
            restart: start a new one now, not on the next use.
        """
        with self._lock:
            self._end(gently=False)
            if restart:
                self._start()

    def clear(self) -> None:
        """Forget all JavaScript variables: end Node.js and start a new one."""
        self.restart()

    def restart(self) -> None:
        """End Node.js in good order (its `exit` handlers run) and start a new one."""
        with self._lock:
            self._end(gently=True)
            self._start()

    def close(self) -> None:
        """End Node.js in good order. The next use starts a new one."""
        with self._lock:
            self._end(gently=True)

    def _end(self, *, gently: bool) -> None:
        if self._farewell is not None:
            self._farewell.detach()
            self._farewell = None
        if self._session is not None and self._session.owner == os.getpid():
            self._session.close(gently=gently)
        self._session = None

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- values

    def register_custom_serializer(self, func: Callable[[Any], Any], var_type: type) -> None:
        """Teach Bifrost to send a type of Python objects.

        Args:
            func: takes an object of the type and returns a value that can cross. In
                JavaScript that is what it is; sent back, it is the type again if there
                is a deserializer for it.
            var_type: the type; its subclasses are meant too.
        """
        _check_converter(func)
        if not isinstance(var_type, type):
            raise TypeError(f"var_type is a class, not {var_type!r}")
        self._registry.serializers[var_type] = (Registry.name(var_type), func)

    def register_custom_deserializer(
        self, func: Callable[[Any], Any], var_type: type | str
    ) -> None:
        """Teach Bifrost to make Python objects of what comes from JavaScript.

        Args:
            func: takes the value that came and returns the object.
            var_type: the Python type that was sent with a custom serializer, or the name
                of a JavaScript class: its instances then come by value, as a dict of
                their fields, to `func`.
        """
        _check_converter(func)
        name = Registry.name(var_type)
        self._registry.deserializers[name] = func
        session = self._session
        if isinstance(var_type, str) and session is not None and session.dead is None:
            session.call("registerClass", name)


class _Host:
    """What JavaScript may ask Python for."""

    def __init__(self, node: Node) -> None:
        self._node = weakref.ref(node)

    def serve(self, method: str, arguments: list[Any]) -> Any:
        node = self._node()
        workspace = node._workspace if node is not None else None
        if workspace is None:
            raise KernelDied(None)
        if method == "get":
            return workspace.get(*arguments)
        if method == "assign":
            return workspace.apply(*arguments)
        raise AttributeError(f"Python offers JavaScript no {method!r}")


def _variables(given: Mapping[str, Any] | None) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"vars maps names to values; it is not a {type(given).__name__}")
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"the name of a variable is a str, not {name!r}")
    return dict(given)


def _check_converter(func: Callable[[Any], Any]) -> None:
    if not callable(func):
        raise TypeError(f"func is called with a value; {func!r} cannot be called")
    try:
        inspect.signature(func).bind(None)
    except TypeError as error:
        raise TypeError(f"func is called with one value: {error}") from None
    except ValueError:
        pass  # some built-ins have no signature
