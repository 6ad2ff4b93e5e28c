"""Plain data to send, and JSON over a pipe as the floor to send it by. Needs no Bifrost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A kind of data.

    Attributes:
        title: what it is.
        make: makes it in Python.
        script: a JavaScript function that makes it there.
    """

    title: str
    make: Callable[[], Any]
    script: str


def samples(floats: int, records: int, strings: int) -> dict[str, Sample]:
    """The kinds of data, of these lengths."""
    return {
        "floats": Sample(
            f"A list of {floats:,} floats",
            lambda: [i * 0.37 for i in range(floats)],
            f"() => Array.from({{ length: {floats} }}, (_, i) => i * 0.37)",
        ),
        "records": Sample(
            f"{records:,} records of 6 fields",
            lambda: [
                {
                    "id": i,
                    "name": f"name {i}",
                    "price": i * 0.37,
                    "city": "Reykjavík",
                    "sold": i % 3 == 0,
                    "note": None,
                }
                for i in range(records)
            ],
            f"() => Array.from({{ length: {records} }}, (_, i) => ({{ id: i, name: `name ${{i}}`,"
            " price: i * 0.37, city: 'Reykjavík', sold: i % 3 === 0, note: null }))",
        ),
        "strings": Sample(
            f"{strings:,} short strings",
            lambda: [f"item {i}" for i in range(strings)],
            f"() => Array.from({{ length: {strings} }}, (_, i) => `item ${{i}}`)",
        ),
    }


class JsonPipe:
    """A bare Node.js to which JSON is sent over a pipe, and from which it comes."""

    def __init__(
        self, node: str, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any], script: str
    ) -> None:
        self._dumps = dumps
        self._loads = loads
        self._process = subprocess.Popen(
            [node, "-e", _NODE % script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def send(self, value: Any) -> None:
        """Send a value; return when it has been parsed."""
        body = self._dumps(value)
        self._in.write(len(body).to_bytes(4, "little"))
        self._in.write(body)
        self._in.flush()
        self._out.read(4)

    def receive(self) -> Any:
        """Let Node.js make the value, and take it."""
        self._in.write(bytes(4))
        self._in.flush()
        return self._loads(self._out.read(int.from_bytes(self._out.read(4), "little")))

    def __enter__(self) -> JsonPipe:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._process.wait()
        self._out.close()


_NODE = """
const fs = require('fs');
const make = %s;
const head = Buffer.alloc(4);
function fill(buffer, length) {
  for (let at = 0; at < length; ) {
    const count = fs.readSync(0, buffer, at, length - at);
    if (count === 0) process.exit();
    at += count;
  }
}
function send(bytes) {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(1, bytes, at);
}
let body = Buffer.alloc(1 << 16);
for (;;) {
  fill(head, 4);
  const length = head.readUInt32LE();
  if (length > 0) {
    if (length > body.length) body = Buffer.alloc(length);
    fill(body, length);
    globalThis.value = JSON.parse(body.toString('utf8', 0, length));
    send(head);
  } else {
    const bytes = Buffer.from(JSON.stringify(make()));
    head.writeUInt32LE(bytes.length);
    send(head);
    send(bytes);
  }
}
"""


def node_on_path() -> str:
    """The Node.js that common.add_peers put first."""
    return next(
        path
        for folder in os.environ["PATH"].split(os.pathsep)
        if os.access(path := os.path.join(folder, "node"), os.X_OK)
    )
