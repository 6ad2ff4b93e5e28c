"""What `bifrost doctor` found, and how it is shown."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "info", "problem"]

_MARKS: dict[Status, str] = {"ok": "ok", "info": "  ", "problem": "!!"}
_COLOURS: dict[Status, str] = {"ok": "32", "info": "", "problem": "1;31"}  # green, red


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        text: what was found.
        status: "ok", "info" (nothing to judge) or "problem".
        todo: what to do about a problem.
    """

    name: str
    text: str
    status: Status = "info"
    todo: str = ""


@dataclass
class Report:
    """The findings, by section, in the order they are shown."""

    sections: dict[str, list[Finding]] = field(default_factory=dict)

    @property
    def todo(self) -> list[str]:
        """What needs doing; empty when all is well."""
        return [f.todo for part in self.sections.values() for f in part if f.status == "problem"]

    def as_text(self, width: int | None = None, *, colour: bool = False) -> str:
        """Return the report as it is shown in a terminal.

        Args:
            width: break lines that are longer; None breaks none, for a file or another program.
            colour: mark what is well and what is not by colour, too.
        """
        names = max(len(f.name) for part in self.sections.values() for f in part)
        lines: list[str] = []
        for title, part in self.sections.items():
            lines += ["", _painted(title, "1", colour)]
            for finding in part:
                mark = _painted(_MARKS[finding.status], _COLOURS[finding.status], colour)
                first, *more = _wrapped(finding.text, width, 7 + names)
                lines.append(f"  {mark} {finding.name:<{names}}  {first}".rstrip())
                lines += [" " * (7 + names) + line for line in more]
        lines.append("")
        if self.todo:
            lines.append(_painted("What to do", "1", colour))
            for number, text in enumerate(self.todo, 1):
                first, *more = _wrapped(text, width, 5)
                lines += [f"  {number}. {first}", *(" " * 5 + line for line in more)]
        else:
            lines.append(_painted("All good.", _COLOURS["ok"], colour))
        return "\n".join(lines[1:])

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        sections = {
            title: {f.name: {"text": f.text, "status": f.status, "todo": f.todo} for f in part}
            for title, part in self.sections.items()
        }
        return {"ok": not self.todo, "todo": self.todo, "sections": sections}


def _painted(text: str, code: str, colour: bool) -> str:
    return f"\033[{code}m{text}\033[0m" if colour and code else text


def _wrapped(text: str, width: int | None, indent: int) -> list[str]:
    """The lines of a text; paths and commands stay whole, to be copied."""
    if width is None:
        return text.split("\n")
    room = max(width - indent, 40)
    wrapper = textwrap.TextWrapper(room, break_long_words=False, break_on_hyphens=False)
    text = re.sub(r"`[^`]+`", lambda command: command[0].replace(" ", "\0"), text)
    lines = [part for line in text.split("\n") for part in wrapper.wrap(line) or [""]]
    return [line.replace("\0", " ") for line in lines]
