"""Runs npm for a result, and says what its failure means and what to do about it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

from ..errors import NpmError
from .binaries import find_node
from .npm_process import Silent, execute, is_noise

_NETWORK = (
    "npm could not reach its registry. Check the connection; behind a proxy set HTTPS_PROXY, for "
    "another registry `npm.run('config', 'set', 'registry', URL)`. `npm.run('ping')` tests it."
)
_CERTIFICATE = (
    "The registry's certificate is not trusted. Behind a company proxy, name its certificate: "
    "`npm.run('config', 'set', 'cafile', PATH)`, or set NODE_EXTRA_CA_CERTS before Python starts."
)
_ADVICE: tuple[tuple[str, str], ...] = (
    ("ERESOLVE", "The packages ask for different versions of the same peer. Ask for versions that "
     "agree, or accept the conflict: {again}, '--legacy-peer-deps')`."),
    ("EBADENGINE|ENOTSUP", "The package wants another Node.js than {node}. Ask for an older version"
     " of the package, or point BIFROST_NODE at another Node.js."),
    ("EBADPLATFORM", "The package does not exist for this operating system or processor."),
    ("ESTRICTALLOWSCRIPTS", "strict-allow-scripts is set, and a package has an unreviewed install "
     "script: {again}, '--no-strict-allow-scripts', allow_scripts=[{scripts}])`."),
    ("EALLOWSCRIPTS", "npm has no --allow-scripts for a project; use `allow_scripts=[...]`."),
    ("ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH"
     "|ERR_SOCKET_TIMEOUT|FETCH_ERROR", _NETWORK),
    (r"\w*CERT\w*|UNABLE_TO_\w+|\w+_LOCALLY", _CERTIFICATE),
    ("E401|E403|ENEEDAUTH", "The registry refuses: log in (an `_authToken` line in ~/.npmrc), or "
     "check the package's name and your rights."),
    ("EACCES|EPERM|EROFS", "npm may not write there. Work in a folder of your own (`cwd=...`); if "
     "the path is npm's cache, make it yours again with chown, or pass '--cache=FOLDER'."),
    ("ENOSPC", "The disk is full: free space, or `npm.run('cache', 'clean', '--force')`."),
    ("EJSONPARSE", "A package.json is not valid JSON; the log names it."),
    ("EINTEGRITY", "A download or package-lock.json is damaged: `npm.run('cache', 'verify')`, then "
     "again; if it stays, remove the package's entry from package-lock.json."),
    ("EINVALIDTAGNAME|EINVALIDPACKAGENAME", "That is no package name; one argument per package: "
     "`npm.install('left-pad', 'is-odd@3')`."),
)  # fmt: skip


def run_npm(words: list[str], folder: Path, show: Silent) -> str:
    """Run npm and return its standard output; raise NpmError when it fails."""
    exit_code, out, log = execute(words, folder, show)
    if exit_code:
        raise explain(words, exit_code, out, log, folder)
    return out


def explain(words: list[str], exit_code: int, out: str, log: str, folder: Path) -> NpmError:
    kept = [line for line in log.splitlines() if not is_noise(line)]
    if not any(line.startswith(("npm error", "npm ERR!")) for line in kept):
        kept = [*out.strip().splitlines()[-20:], *kept]
    text = "\n".join(kept)
    return NpmError(words, exit_code, text, _advice(words, text, folder))


def _advice(words: list[str], log: str, folder: Path) -> str:
    """The next step for the failures that have one."""
    found = re.search(r"^npm (?:error|ERR!) code (\S+)", log, re.MULTILINE)
    code = found[1] if found else ""
    if code == "E404":
        asked = re.search(r"'((?:@[^/'\s]+/)?[^@/'\s]+)(?:@[^']*)?' (?:is not|could not)", log)
        name = unquote(asked[1]) if asked else "the package"
        return (
            f"The registry has no {name}: check the spelling "
            f"(https://www.npmjs.com/search?q={name if asked else ''}). "
            "A private package needs its registry and a login in ~/.npmrc."
        )
    if code == "ETARGET":
        missing = re.search(r"No matching version found for ((?:@[^/\s]+/)?[^@\s]+)", log)
        if missing:
            return _available(missing[1], folder)
    if "gyp ERR!" in log or "node-gyp" in log:
        return (
            "A part written in C or C++ did not compile: it needs make, a C++ compiler and "
            "Python (Debian: build-essential; macOS: xcode-select --install). The log's `gyp "
            "ERR!` lines name the fault; a newer version may bring compiled files."
        )
    version = "v" + ".".join(map(str, find_node().version))
    again = f"`npm.{words[0]}({', '.join(map(repr, words[1:]))}"
    scripts = ", ".join(repr(n) for n in re.findall(r"^npm error\s+(\S+)@\S+ \(", log, re.M))
    for codes, advice in _ADVICE:
        if re.fullmatch(codes, code):
            return advice.format(again=again, node=version, scripts=scripts)
    if code.isdigit() and (path := re.search(r"^npm (?:error|ERR!) path (.+)$", log, re.M)):
        return f"A script of the package in {path[1]} failed; its output is in the log."
    return ""


def _available(name: str, folder: Path) -> str:
    exit_code, out, _ = execute(["view", name, "versions", "--json"], folder, Silent())
    try:
        versions = json.loads(out) if not exit_code else []
    except ValueError:
        versions = []
    newest = ([versions] if isinstance(versions, str) else versions)[-5:]
    if not newest:
        return f"Ask for another version: `npm.run('view {name} versions')` lists them."
    return (
        f"The newest versions of {name} are {', '.join(map(str, newest))}; "
        f"`npm.run('view {name} versions')` lists all."
    )
