"""Write the wire bytes of the vectors that have none yet: `python tests/vectors/fill.py`.

Entries marked `"hex": false` have bytes that depend on the place (local time, stacks, shared
memory). Look at the difference before you keep it: the bytes are what two languages agree on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bifrost.protocol.codec import Codec  # noqa: E402
from bifrost.runtime.binaries import find_node  # noqa: E402
from support import vectors  # noqa: E402
from support.surroundings import Surroundings  # noqa: E402

SCRIPT = """
import { createRequire } from 'node:module';
const source = '../../src/bifrost/js/protocol/';
const { Encoder } = await import(source + 'encoder.js');
const { NDArray } = await import(source + 'arrays.js');
const bifrost = { NDArray, ...(await import(source + 'types.js')) };
const require = createRequire(import.meta.url);
const fail = () => { throw new Error('not fixed'); };
const outward = { array: fail, blob: fail, reference: fail, customName: () => undefined,
  tableStream: () => undefined, stack: () => '' };
const make = (js) => new Function('bifrost', 'require', `return (${js});`)(bifrost, require);
const expressions = JSON.parse(process.argv[1]);
const bytes = (js) => new Encoder(outward).encode(make(js)).subarray(9);
const out = expressions.map((js) => bytes(js).toString('hex'));
console.log(JSON.stringify(out));
"""


def main() -> None:
    fixed = [e for e in vectors.ENTRIES if not {"refused", "reference"} & e.keys()]
    fixed = [entry for entry in fixed if entry.get("hex") is not False]
    for entry in fixed:
        if "python" in entry and "toNode" not in entry:
            entry["toNode"] = Codec(Surroundings()).encode(vectors.make(entry["python"])).hex()
    wanted = [e for e in fixed if "js" in e and "toPython" not in e and e.get("hex") != "toNode"]
    command = [str(find_node().path), "--input-type=module", "-e", SCRIPT]
    out = subprocess.run(
        [*command, json.dumps([entry["js"] for entry in wanted])],
        check=True, capture_output=True, cwd=HERE,
    )  # fmt: skip
    for entry, text in zip(wanted, json.loads(out.stdout), strict=True):
        entry["toPython"] = text
    # Very long values are not worth their bytes.
    for entry in fixed:
        for key in ("toNode", "toPython"):
            if len(entry.get(key, "")) > 400:
                del entry[key]
    text = json.dumps({"sections": vectors.SECTIONS}, indent=1, ensure_ascii=True)
    vectors.FILE.write_text(text + "\n")


if __name__ == "__main__":
    main()
