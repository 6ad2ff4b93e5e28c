"""The published modules: names, versions, many publishers at once, what a module needs."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bifrost.compute import folders, modules
from bifrost.errors import ModuleError
from bifrost.frontend import cli


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, which is not there yet."""
    folder = tmp_path / "store"
    monkeypatch.setenv("BIFROST_MODULES", str(folder))
    return folder


def test_a_published_module_is_found(store: Path, tmp_path: Path) -> None:
    local = tmp_path / "here.js"
    local.write_text("exports.é = 1", encoding="utf-8")
    done = modules.publish("shapes", "1.0.0", {local: "circle.js"}, sources={"a/b.js": "b"})
    assert done.modules == ("shapes/a/b", "shapes/circle")
    assert (done.package, done.version, done.size) == ("shapes", "1.0.0", 15)
    circle, b = modules.resolve(["shapes/circle", "shapes/a/b.js"])
    assert (circle.name, circle.source, circle.version) == (
        "shapes/circle",
        "exports.é = 1",
        "1.0.0",
    )
    assert (b.name, b.source) == ("shapes/a/b", "b")
    assert len(circle.digest) == 64
    assert pickle.loads(pickle.dumps(circle)) == circle
    assert [path.name for path in store.iterdir()] == ["shapes"]


def test_reading_writes_nothing(store: Path) -> None:
    assert modules.listing() == ()
    assert modules.newest("shapes") is None
    with pytest.raises(ModuleError):
        modules.resolve(["shapes/circle"])
    assert not store.exists()


def test_versions_grow() -> None:
    text = {"m.js": "1"}
    assert modules.publish("p", sources=text).version == "1.0.0"
    assert modules.publish("p", sources=text).version == "1.0.1"
    modules.publish("p", "1.0.10", sources={"m.js": "10"})
    modules.publish("q", "0.0.1", sources=text)
    for version in ("1.0.10", "1.0.9"):
        with pytest.raises(ModuleError, match=r"1\.0\.10 is there already.*publish 1\.0\.11") as e:
            modules.publish("p", version, sources=text)
        assert (e.value.code, e.value.module) == ("EVERSION", "p")
    assert [(one.package, one.version) for one in modules.listing()] == [
        ("p", "1.0.0"), ("p", "1.0.1"), ("p", "1.0.10"), ("q", "0.0.1"),
    ]  # fmt: skip
    assert modules.resolve(["p/m"])[0].source == "10"
    assert modules.resolve(["p@1.0.1/m"])[0].source == "1"
    with pytest.raises(ModuleError, match=r"two versions, 1\.0\.10 and 1\.0\.0") as e:
        modules.resolve(["p/m", "p@1.0.0/m"])
    assert e.value.code == "EVERSION"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "a/b", "sources": {"m.js": ""}}, "no name for a package"),
        ({"name": "..", "sources": {"m.js": ""}}, "no name for a package"),
        ({"name": "p", "version": "1.0", "sources": {"m.js": ""}}, "no version"),
        ({"name": "p", "sources": {"../m.js": ""}}, "no file of a package"),
        ({"name": "p", "sources": {"/m.js": ""}}, "no file of a package"),
        ({"name": "p", "sources": {"m.txt": ""}}, "no file of a package"),
        ({"name": "p", "files": {"a.js": "./m.js"}, "sources": {"m.js": ""}}, "No such file"),
        ({"name": "p"}, "needs a file"),
    ],
)
def test_what_cannot_be_published(store: Path, arguments: dict, complaint: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=complaint):
        modules.publish(**arguments)
    assert not store.exists()


def test_files_that_have_no_names_in_the_package(store: Path) -> None:
    with pytest.raises(TypeError, match=r"mapping of local file -> file in the package.*good\.js"):
        modules.publish("pe", None, ["mods/good.js"])  # type: ignore[arg-type]
    assert not store.exists()


def test_an_unknown_module_says_what_is_there() -> None:
    modules.publish("aistensorflow", sources={"tfjs.js": "1"})
    for name, saying in [
        ("aistensorflow/tfsj", "there is aistensorflow/tfjs;"),
        ("mine/tfjs", "there is aistensorflow/tfjs;"),
        ("aistensorflow@9.0.0/tfjs", "there is aistensorflow/tfjs;"),
        ("aitf-mnist-data/mnist", "`bifrost publish-mnist`"),
        ("aistensorflow/../tfjs", "no module"),
        ("lodash", "'npm:lodash'"),
        ("", "write 'package/module'"),
    ]:
        with pytest.raises(ModuleError) as e:
            modules.resolve([name])
        assert (e.value.code, e.value.module) == ("ENOMODULE", name)
        assert saying in str(e.value)
        assert isinstance(e.value, LookupError)
        assert str(pickle.loads(pickle.dumps(e.value))) == str(e.value)
    with pytest.raises(TypeError, match="list"):
        modules.resolve("aistensorflow/tfjs")


def test_a_module_brings_what_it_declares_to_need() -> None:
    banner = f"{'/' * 99}\n{'/*' + '*' * 99 + '/'}\n" * 30
    head = f"{banner}// by hand\n/* a */ 'use strict';\nmodule.declare"
    modules.publish("base", "2.0.0", sources={"b.js": "module.declare(['top/t'], () => {})"})
    t = head + "( [ './lib/u', \"base/b\" ], function (require) {})"
    u = "module.declare(['../t'], f)"
    modules.publish("top", "1.0.0", sources={"t.js": t, "lib/u.js": u})
    modules.publish("top", "1.1.0", sources={"t.js": f"{banner}x = module.declare(['no/where'])"})
    assert len(modules.resolve(["top/t"])) == 1
    with pytest.raises(ModuleError, match="two versions"):
        modules.resolve(["top@1.0.0/t"])  # whose `base` needs the newest `top`
    modules.publish("base", "2.0.1", sources={"b.js": "module.declare([], () => {})"})
    found = modules.resolve(["top@1.0.0/t"])
    assert [(one.name, one.version) for one in found] == [
        ("top/t", "1.0.0"), ("top/lib/u", "1.0.0"), ("base/b", "2.0.1"),
    ]  # fmt: skip
    modules.publish("top", "1.2.0", sources={"t.js": "module.declare(['no/where'], f)"})
    with pytest.raises(ModuleError, match="'no/where' is published, which top/t needs"):
        modules.resolve(["top/t"])


def test_many_publishers_at_once(store: Path) -> None:
    code = (
        "from bifrost.compute import modules\n"
        "for i in range(20): modules.publish('p', sources={'m.js': str(i), 'n.js': str(i)})"
    )
    publishers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    while any(one.poll() is None for one in publishers):
        if modules.newest("p"):
            m, n = modules.resolve(["p/m", "p/n"])
            # Of one version, unless another appeared between the two.
            assert m.source == n.source or m.version != n.version
    assert [one.returncode for one in publishers] == [0, 0, 0]
    assert len(modules.listing()) == 60
    assert [path.name for path in store.iterdir()] == ["p"]


def test_the_folders_are_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("BIFROST_MODULES", "BIFROST_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert folders.modules_folder() == Path.home() / ".local/share/bifrost/modules"
    assert folders.cache_folder() == Path.home() / ".cache/bifrost"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folders.modules_folder() == Path.home() / ".local/share/bifrost/modules"
    assert folders.cache_folder() == tmp_path / "bifrost"


@pytest.fixture
def bifrost(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: object) -> tuple[int, str, str]:
        status = cli.main([str(word) for word in words])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


def test_the_command_line(tmp_path: Path, bifrost: Callable[..., tuple[int, str, str]]) -> None:
    a, b = tmp_path / "a.js", tmp_path / "b.js"
    a.write_text("exports.a = 1")
    b.write_text("exports.b = 1")
    assert bifrost("modules")[1].startswith("No modules are published")
    assert bifrost("publish", "--name", "p", a, f"{b}=sub/c.js") == (
        0, "Published p/a 1.0.0\nPublished p/sub/c 1.0.0\n", "",
    )  # fmt: skip
    described = tmp_path / "p.json"
    described.write_text('{"name": "p", "version": "1.2.0", "files": {"./a.js": "a.js"}}')
    assert bifrost("publish", described)[1] == "Published p/a 1.2.0\n"
    assert bifrost("modules")[1] == "p/a  1.2.0  (2 versions)\n"
    every = json.loads(bifrost("modules", "--json")[1])
    assert [(one["version"], one["modules"]) for one in every] == [
        ("1.0.0", ["p/a", "p/sub/c"]), ("1.2.0", ["p/a"]),
    ]  # fmt: skip


def test_wrong_commands(tmp_path: Path, bifrost: Callable[..., tuple[int, str, str]]) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"name": "p"}')
    for words, complaint in [
        (["publish", wrong], "no description of a package"),
        (["publish", tmp_path / "none.js"], "No such file"),
        (["publish", "a.js", "b.js"], "--name NAME"),
        (["publish", "--name", "a/b", wrong], "no name for a package"),
        (["publish-mnist", "--images", 70_001], "70001 images cannot be had"),
        (["serialize-model", "-m", wrong, "-o", "p/m.js", "-d"], "no model of TensorFlow.js"),
        (["serialize-model", "-m", tmp_path / "none", "-o", "p/m.js", "-d"], "No such file"),
    ]:
        status, out, err = bifrost(*words)
        assert (status, out) == (1, "")
        assert complaint in err
        assert "Traceback" not in err


def test_what_a_killed_publisher_left_is_removed(store: Path) -> None:
    old, new = store / ".draft-old", store / ".draft-new"
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, 0))
    modules.publish("p", sources={"m.js": ""})
    assert sorted(path.name for path in store.iterdir()) == [".draft-new", "p"]
    assert [one.package for one in modules.listing()] == ["p"]
