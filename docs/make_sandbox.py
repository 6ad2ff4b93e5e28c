"""Write the tables of docs/sandbox.md, from the layers and the attacks: `make docs`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bifrost.compute import worker
from bifrost.compute.sandbox import LAYERS

HERE = Path(__file__).parent
PAGE = HERE / "sandbox.md"
sys.path.insert(0, str(HERE.parent / "tests"))

TITLES = {
    "inner": "From the inner realm",
    "sources": "By what a work function is, or returns",
    "host": "From the host realm, once broken out of the inner one",
    "forged": "By frames that lie",
    "greed": "By greed",
}


def table(heads: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [" | ".join(row) for row in [heads, ("---", "---"), *rows]]
    return "".join(f"| {line} |\n" for line in lines)


def bounds() -> str:
    mebibyte = 1 << 20
    return table(
        ("a slice, or its worker, may", "at most"),
        [
            ("send messages: console, events, progress", f"{worker.MOST_MESSAGES:,}"),
            ("send in them", f"{worker.MOST_SAID // mebibyte} MiB"),
            ("print, as Node.js does at its end", f"{worker.MOST_PRINTED // mebibyte} MiB"),
            ("be silent, at `strict` without a time-out", f"{worker.STRICT_PROGRESS_TIMEOUT:g} s"),
        ],
    )


def attacks() -> str:
    from support.attacks import read, system_calls

    text = ""
    for name, title in TITLES.items():
        rows = [
            (attack.name + " *" * attack.proven + " †" * attack.alone, attack.layer)
            for attack in read(name)
        ]
        text += f"### {title}: {len(rows)}\n\n{table(('attempt', 'first stopped by'), rows)}\n"
    calls = system_calls()
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(call.split()[0] for call in calls))
    return (
        f"{text}### By system calls, from native code: {len(calls)}\n\nAll by seccomp: {names}.\n"
    )


def page() -> str:
    """The page with its tables written anew."""
    made = {
        "layers": table(("layer", ""), list(LAYERS.items())),
        "bounds": bounds(),
        "attacks": attacks(),
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, part in made.items():
        text, count = re.subn(
            rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end -->)",
            lambda found, part=part: f"{found[1]}\n{part}\n{found[2]}",
            text,
            flags=re.S,
        )
        assert count == 1, name
    return text


def main() -> None:
    text = page()
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == text else 1)
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
