"""The `bifrost` command: `doctor`, `run`, `demo`, and what cli_modules.py adds.

Each subcommand imports what it needs when it runs, so that --help and --version
answer at once and work on a broken installation.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]

EXIT_ERROR = 1
EXIT_TIMEOUT = 124  # like timeout(1)
EXIT_INTERRUPTED = 130  # like a shell after Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: the arguments after the program's name; ``sys.argv[1:]`` if None.

    Raises:
        SystemExit: for ``--help``, ``--version`` and wrong usage, like argparse does.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["demo"]:
        # The demo parses its own options, --help among them.
        return _guarded(lambda: _demo(arguments[1:]))
    options = _parser().parse_args(arguments)
    return _guarded(lambda: int(options.action(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bifrost",
        description="Python and a real Node.js in one workspace.",
        epilog="""\
examples:
  bifrost doctor              is everything there, and does it work?
  bifrost run script.js --var n=10 --print total
  bifrost demo                real data, NumPy and an npm package together

`bifrost COMMAND --help` says more about each command.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    from .cli_modules import add_commands

    parser.add_argument("--version", action=_ShowVersion, help="print Bifrost's version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_doctor(commands)
    _add_run(commands)
    add_commands(commands)
    commands.add_parser(
        "demo", help="share real data between NumPy and an npm package", add_help=False
    )
    return parser


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="report what is installed, whether it works, and what to do if not",
        description="""\
Report versions, paths, the native part and the limits of shared memory,
then start a Node.js and send an array there and back.""",
        epilog="""\
exit status:
  0  everything is as it should be
  1  something needs doing; each such line comes with what to do

examples:
  bifrost doctor
  bifrost doctor --json | jq '.todo'
  BIFROST_NODE=/opt/node22/bin/node bifrost doctor""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.add_argument("--json", action="store_true", help="print the report as one JSON object")
    doctor.set_defaults(action=_doctor)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser(
        "run",
        help="run a JavaScript file with variables from the command line",
        description="""\
Run a JavaScript file in Node.js, the way bifrost.node.run_file does: top-level
await, import and require work, and its output is shown while it runs. The run
ends with the script, or with the promise that is its last value: what timers
would do later is not waited for. The program's own standard input is empty.""",
        epilog="""\
With --print or --json, standard output holds only what they ask for, and what
the program prints goes to standard error.

exit status:
  0    the program ran to its end
  1    it threw an error, which is on standard error with its stack
  N    it called process.exit(N)
  2    wrong usage
  124  --timeout was reached
  130  Ctrl-C

examples:
  bifrost run hello.js
  bifrost run sum.js --var 'numbers=[1, 2, 3]' --print total
  bifrost run sum.js --var 'numbers=[1, 2, 3]' --json | jq .total
  echo 'var answer = await Promise.resolve(42)' | bifrost run - --print answer""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("file", metavar="FILE.js", help="the file to run; - reads standard input")
    run.add_argument(
        "--var",
        metavar="NAME=JSON",
        action="append",
        default=[],
        type=_variable,
        help="give the program a variable, its value in JSON; can be repeated",
    )
    run.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="stop the program after so long"
    )
    wanted = run.add_mutually_exclusive_group()
    wanted.add_argument(
        "--print",
        metavar="NAME",
        action="append",
        default=[],
        dest="names",
        help="print this variable at the end: a string as it is, all else as JSON; can be repeated",
    )
    wanted.add_argument(
        "--json", action="store_true", help="print all resulting variables as one JSON object"
    )
    run.set_defaults(action=_run)


class _ShowVersion(argparse.Action):
    """--version, looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help, default=argparse.SUPPRESS)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from .doctor import own_version

        print(f"bifrost {own_version()}")
        parser.exit()


def _variable(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.replace("$", "_").isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=JSON")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"the value of {name} is not JSON ({error}); a string needs its own quotes: "
            f"""--var '{name}="text"'"""
        ) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _guarded(action: Callable[[], int]) -> int:
    """Turn the errors a user can meet into a message and an exit status, without a traceback."""
    from ..errors import BifrostError, JSError, RunTimeout
    from .report import report

    try:
        return action()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except RunTimeout as error:
        print(f"bifrost: {error}", file=sys.stderr)
        return EXIT_TIMEOUT
    except BifrostError as error:
        status = error.properties.get("code") if isinstance(error, JSError) else None
        if isinstance(status, int) and getattr(error, "name", "") == "ProcessExit":
            return status & 255
        lines = report(error) if isinstance(error, JSError) else [error]
        print(*lines, sep="\n", file=sys.stderr)
        return EXIT_ERROR
    except BrokenPipeError:
        # Whoever read our output has enough. What is still buffered cannot be written at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except UnicodeDecodeError as error:
        print(f"bifrost: the program is not UTF-8 text: {error}", file=sys.stderr)
        return EXIT_ERROR
    except OSError as error:
        print(f"bifrost: {error}", file=sys.stderr)
        return EXIT_ERROR


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    report = doctor.examine()
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        colour = terminal and not os.environ.get("NO_COLOR")
        width = shutil.get_terminal_size().columns if terminal else None
        print(report.as_text(width, colour=colour))
    return EXIT_ERROR if report.todo else 0


def _demo(arguments: list[str]) -> int:
    from .demo import main as demo

    return int(demo(arguments) or 0)


def _run(options: argparse.Namespace) -> int:
    from bifrost import Node

    given = dict(options.var)
    # `bifrost.python` finds the Python modules beside the script, as `python script.py` would.
    beside = "" if options.file == "-" else str(Path(options.file).resolve().parent)
    sys.path.insert(0, beside)
    with _program_output(to_stderr=options.json or bool(options.names)), Node() as node:
        if options.file == "-":
            script = _standard_input()
            result = node.run(script, given, timeout=options.timeout)
        else:
            result = node.run_file(options.file, given, timeout=options.timeout)
        # While Node is alive: a value may still live there.
        missing = [name for name in options.names if name not in result]
        lines = [_shown(result[name]) for name in options.names if name not in missing]
        if options.json:
            lines = [json.dumps(plain(result), ensure_ascii=False)]
    for line in lines:
        print(line, flush=True)
    for name in missing:
        print(f"bifrost: the program left no variable {name!r}", file=sys.stderr)
    return EXIT_ERROR if missing else 0


def _standard_input() -> str:
    """The script on standard input, which is UTF-8 as a file's is, whatever the locale."""
    buffer = getattr(sys.stdin, "buffer", None)
    return buffer.read().decode("utf-8") if buffer is not None else sys.stdin.read()


@contextlib.contextmanager
def _program_output(to_stderr: bool) -> Iterator[None]:
    # Node's output goes to where Python's sys.stdout points at the time.
    with contextlib.redirect_stdout(sys.stderr) if to_stderr else contextlib.nullcontext():
        yield


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def plain(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Return the nearest thing to a value that JSON has.

    What JSON lacks becomes a list (arrays, sets, bytes), null (undefined, NaN and the infinities,
    as JSON.stringify does) or the value's text (dates, big decimals, functions, cycles).

    Args:
        value: any Python value.
        inside: the ids of the containers that `value` lies in.
    """
    from ..protocol.undefined import undefined

    if value is None or isinstance(value, (bool, str)):
        return value
    if value is undefined:
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if id(value) in inside:
        return "[circular]"
    inside = (*inside, id(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item, inside) for key, item in value.items()}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return list(bytes(value))
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [plain(item, inside) for item in value]
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist(), inside)  # arrays and scalars
    return str(value)
