"""The table of what work functions may try: tests/compute/attacks, read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "compute" / "attacks"


@dataclass(frozen=True)
class Attack:
    """What is tried, and the layer that is the first to stop it."""

    name: str
    code: str
    layer: str
    #: Whether the suite shows that it gets through where that layer is not.
    proven: bool = False
    #: Whether that is the only one which stops it: it reaches for nothing outside.
    alone: bool = False
    #: With which codes it may end, if it has to be ended.
    ends: tuple[str, ...] = ()


def read(name: str) -> list[Attack]:
    """The attacks of a file: `// ## name`, `// layer, marks` or `// layer: ends`, the code."""
    text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    found = []
    for section in re.split(r"^// ## ", text, flags=re.M)[1:]:
        title, note, code = section.split("\n", 2)
        layer, _, ends = note.removeprefix("// ").partition(": ")
        layer, *marks = layer.split(", ")
        codes = tuple(ends.split(", ")) if ends else ()
        found.append(Attack(title, code, layer, "proven" in marks, "alone" in marks, codes))
    return found


def system_calls() -> list[str]:
    """The name and the arguments of each system call that native code may try."""
    return (FOLDER / "native.txt").read_text(encoding="utf-8").splitlines()


def from_inside(attack: Attack) -> str:
    """A work function that attacks; its second slice is asked for what the first one found."""
    prelude = (FOLDER / "prelude.js").read_text(encoding="utf-8")
    body = f"{prelude}\n{attack.code}\nawait pause(); return verdict();"
    return f"async (slice) => {{ if (slice) return verdict();\n{body} }}"
