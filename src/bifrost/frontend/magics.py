"""IPython magics: `%%node`, `%run_node` and `%node_file`."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from ..errors import BifrostError
from ..protocol.undefined import undefined
from .node import Node
from .report import report
from .workspace import Workspace

_FLAG = re.compile(r"\s*(--?[A-Za-z][\w-]*)(?:=|\s+|$)")
_WORD = re.compile(r"([^\s]+)\s*")


class _Options(NamedTuple):
    """The flags of a magic, and what stands behind them."""

    inputs: list[str] | None
    outputs: list[str] | None
    timeout: float | None
    rest: str


def _parse(line: str) -> _Options:
    """Read the leading flags of a line; the rest is JavaScript, which is left as it is."""
    inputs: list[str] | None = None
    outputs: list[str] | None = None
    timeout: float | None = None
    while match := _FLAG.match(line):
        flag = match[1]
        word = _WORD.match(line, match.end())
        if flag not in ("-i", "--input", "-o", "--output", "-t", "--timeout"):
            raise UsageError(f"unknown option {flag}; there are -i NAMES, -o NAMES and -t SECONDS")
        if word is None:
            raise UsageError(f"option {flag} needs a value")
        line = line[word.end() :]
        if flag in ("-t", "--timeout"):
            try:
                timeout = float(word[1])
            except ValueError:
                raise UsageError(f"{flag} takes a number of seconds, not {word[1]!r}") from None
            continue
        names = [name for name in word[1].split(",") if name]
        if bad := [name for name in names if not name.isidentifier()]:
            raise UsageError(f"{flag} takes names with commas between them, not {bad[0]!r}")
        if flag in ("-i", "--input"):
            inputs = (inputs or []) + names
        else:
            outputs = (outputs or []) + names
    return _Options(inputs, outputs, timeout, line.strip())


@magics_class
class NodeMagics(Magics):
    """Cells and lines of JavaScript that share the notebook's variables."""

    shell: Any  # there always is one: magics are made by a shell

    def __init__(self, shell: Any, node: Node) -> None:
        super().__init__(shell)
        self._node = node
        self._workspace = Workspace(shell.user_ns, self._is_hidden)

    def _is_hidden(self, name: str) -> bool:
        hidden = self.shell.user_ns_hidden
        return name in hidden and self.shell.user_ns.get(name) is hidden[name]

    def _run(self, source: str, options: _Options, filename: str | None = None) -> Any:
        __tracebackhide__ = True
        try:
            value = self._node.run_cell(
                source,
                self._workspace,
                filename or f"In[{len(self.shell.user_ns['In']) - 1}]",
                inputs=options.inputs,
                outputs=options.outputs,
                wants_value=filename is None,
                timeout=options.timeout,
            )
        except BifrostError as error:
            # What IPython shows instead of a traceback: Python's frames tell its author nothing.
            vars(error)["_render_traceback_"] = functools.partial(report, error)
            raise
        except NameError as error:
            raise UsageError(str(error)) from None
        return None if value is undefined else value

    @no_var_expand
    @cell_magic
    def node(self, line: str, cell: str) -> Any:
        """Run the cell as JavaScript in Node.js, sharing variables with Python.

        ::

            %%node [-i NAMES] [-o NAMES] [-t SECONDS]

        All the notebook's variables are there in JavaScript, except names that begin
        with an underscore and names that are globals of Node.js itself; each crosses
        when the JavaScript uses it. What the cell makes or changes is there in Python
        afterwards, and stays for later cells.

        If the last statement is an expression without a semicolon, its value is shown.
        Top-level `await`, `require` and `import` work; the cell ends when the promise
        that it ends with, if any, has settled.

        -i NAMES, --input NAMES
            share only these Python variables (names with commas between them)
        -o NAMES, --output NAMES
            bring only these variables back
        -t SECONDS, --timeout SECONDS
            stop the JavaScript after so long; its state stays
        """
        __tracebackhide__ = True
        options = _parse(line)
        # The magic's own line counts, as it does in the notebook's margin.
        return self._run(f"{options.rest}\n{cell}", options)

    @no_var_expand
    @line_magic
    def run_node(self, line: str) -> Any:
        """Run one line of JavaScript; like `%%node`, with the same options.

        ::

            total = %run_node [1, 2, 3].reduce((a, b) => a + b)
        """
        options = _parse(line)
        return self._run(options.rest, options)

    @no_var_expand
    @line_magic
    def node_file(self, line: str) -> None:
        """Run a file of JavaScript; like `%%node`, with the same options.

        ::

            %node_file [-i NAMES] [-o NAMES] [-t SECONDS] PATH
        """
        options = _parse(line)
        name = options.rest.strip("\"'")
        if not name:
            raise UsageError("which file? %node_file PATH")
        path = Path(name).expanduser().resolve()
        try:
            source = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}") from None
        self._run(source, options, str(path))


def register(shell: Any) -> None:
    """Add the magics to an IPython shell, once."""
    from bifrost import node

    if not isinstance(shell.magics_manager.registry.get("NodeMagics"), NodeMagics):
        shell.register_magics(NodeMagics(shell, node))
