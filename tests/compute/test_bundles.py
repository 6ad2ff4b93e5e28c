"""npm packages as modules for workers: real packages, the real esbuild, run by a bare Node.js."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bifrost.compute import modules
from bifrost.errors import ModuleError, NpmError
from bifrost.frontend.npm import Npm
from bifrost.runtime.binaries import find_node

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, and the working directory."""
    monkeypatch.setenv("BIFROST_CACHE", str(cache))
    monkeypatch.setenv("BIFROST_MODULES", str(tmp_path / "store"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "package.json").write_text('{ "private": true }')
    monkeypatch.chdir(folder)
    return folder


def required(name: str, expression: str) -> object:
    """The value of an expression about `it`, a module that knows nothing of Node.js."""
    (module,) = modules.resolve([name])
    code = (
        "const source = require('fs').readFileSync(0, 'utf8'), module = { exports: {} };"
        "const body = `(function (module, exports) {${source}\\n})`;"
        "require('vm').runInNewContext(body, { Uint8Array })(module, module.exports);"
        f"const it = module.exports; console.log(JSON.stringify({expression}))"
    )
    done = subprocess.run(
        [str(find_node().path), "-e", code],
        input=module.source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_from_the_registry_then_from_the_cache(project: Path, cache: Path) -> None:
    assert required("npm:ms@2.1.3", "it('2 days')") == 172_800_000
    (again,) = modules.resolve(["npm:ms@2.1.3"])
    assert (again.name, again.version) == ("npm:ms", "2.1.3")
    assert modules.resolve(["npm:ms"]) == (again,)  # any version will do
    assert [path.name for path in (cache / "bundles").iterdir() if "ms" in path.read_text()]
    assert not [path for path in (cache / "npm").iterdir() if path.name.startswith(".")]
    assert not (project / "node_modules").exists()


def test_the_projects_own_package_comes_first(project: Path) -> None:
    package = project / "node_modules" / "@mine" / "tool"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "@mine/tool", "version": "0.1.0"}')
    (package / "index.js").write_text("exports.value = require('./lib/part') + 1")
    (package / "lib").mkdir()
    for part in (1, 2):
        (package / "lib/part.js").write_text(f"module.exports = {part}")
        assert required("npm:@mine/tool", "it.value") == part + 1
    assert required("npm:@mine/tool@0.1.0/lib/part.js", "it") == 2
    with pytest.raises(NpmError):
        modules.resolve(["npm:@mine/tool@0.2.0"])


@pytest.mark.parametrize(
    ("name", "expression", "value"),
    [
        ("npm:lodash@4.17.21/fp", "it.map((n) => n * 2)([1, 2])", [2, 4]),
        ("npm:nanoid@5.0.9", "typeof it.nanoid", "function"),  # ES modules only
        ("npm:@noble/hashes@1.7.1/sha256", "it.sha256(new Uint8Array(0)).length", 32),
    ],
)
def test_kinds_of_packages(name: str, expression: str, value: object) -> None:
    assert required(name, expression) == value


def test_what_cannot_run_in_a_sandbox(project: Path) -> None:
    package = project / "node_modules" / "needy"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "needy", "version": "1.0.0"}')
    (package / "index.js").write_text("const fs = require('node:fs'); require('events')")
    with pytest.raises(ModuleError, match=r"'fs' \(in node_modules/needy/index\.js.*'events'") as e:
        modules.resolve(["npm:needy"])
    assert e.value.code == "ENOMODULE"
    (package / "index.js").write_text("require('events')")
    with pytest.raises(ModuleError, match=r"npm.install\('needy', 'events'\)"):
        modules.resolve(["npm:needy"])
    Npm().install("events@3.3.0", "--silent")
    if not package.exists():  # npm removed what it had not installed
        package.mkdir()
        (package / "package.json").write_text('{"name": "needy", "version": "1.0.0"}')
    (package / "index.js").write_text("exports.on = require('events').prototype.on.length")
    assert required("npm:needy", "it.on") == 2
    (package / "index.js").write_text("try { require('fs') } catch { exports.none = true }")
    modules.resolve(["npm:needy"])  # a package may ask in vain
    (package / "index.js").write_text("const = 1")
    with pytest.raises(ModuleError, match=r'needy/index\.js: Expected identifier but found "="'):
        modules.resolve(["npm:needy"])
    with pytest.raises(ModuleError, match="write 'npm:name'"):
        modules.resolve(["npm:"])


def test_two_processes_fetch_the_same_package(tmp_path: Path, project: Path, cache: Path) -> None:
    code = (
        "from bifrost.compute import modules;"
        "print(modules.resolve(['npm:left-pad@1.3.0'])[0].digest)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)
    ]
    digests = {one.communicate()[0] for one in both}
    assert len(digests) == 1
    assert [one.returncode for one in both] == [0, 0]
    assert not [path for path in (cache / "npm").iterdir() if path.name.startswith(".")]
