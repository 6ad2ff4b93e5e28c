"""npm for Python: install and use npm packages beside the Python program that needs them.

Every call is one npm process, started without a shell in the folder of the nearest
``package.json`` (see :class:`Npm`), and gone when the call returns or raises.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..runtime.binaries import find_node
from ..runtime.npm_errors import explain, run_npm
from ..runtime.npm_process import Progress, Silent, Stream, execute
from ..runtime.npm_project import (
    AnyPath,
    check_name,
    check_words,
    dependencies,
    installed_versions,
    local_path,
    names_asked_for,
    nearest_project,
    refuse_global,
    start_folder,
    writable_project,
)

__all__ = ["Npm"]


class Npm:
    """npm, working for the current folder; ``bifrost.npm`` is an instance of it.

    Each call works on the nearest folder at or above the working directory (or above ``cwd=``)
    that has a ``package.json``; where there is none, on the working directory itself. Python's
    own package folders are refused. Constructing starts and writes nothing.

    While npm works, a terminal or notebook shows one live line; at the end npm's own summary
    stays. In other programs only that summary and npm's warnings are written, to ``sys.stderr``.
    Pass npm's own flags as strings: ``'--silent'`` says nothing at all. Ctrl-C stops npm and
    everything it started. npm's standard input is empty: it can ask nothing.
    """

    def __repr__(self) -> str:
        return "<bifrost npm: install, uninstall, list_modules, run, package_current_version, ...>"

    def install(
        self,
        *packages: AnyPath,
        allow_scripts: bool | Iterable[str] | None = None,
        cwd: AnyPath | None = None,
    ) -> dict[str, str]:
        """Install packages, or with none named everything that package.json lists.

        Args:
            packages: names (``'left-pad'``, ``'left-pad@1.3'``), folders, tarballs, URLs, and
                npm's own flags (``'--save-dev'``).
            allow_scripts: the packages whose install scripts may run (they are recorded, with
                their version, in package.json's ``allowScripts``), or True for all. npm 12 and
                later run none otherwise; npm 11 and earlier run every script.
            cwd: work for this folder instead of the working directory.

        Returns:
            The packages asked for (with none named: all direct dependencies) and the version
            that is installed now.

        Raises:
            NpmError: npm failed; with its log and the next step.
            TypeError, ValueError: an argument is no package, or the folder is not for packages.

        Example:
            >>> npm.install('left-pad@1.3.0')
            {'left-pad': '1.3.0'}
        """
        if isinstance(allow_scripts, str):
            raise TypeError("allow_scripts is a list of package names, or True")
        allowed = allow_scripts if isinstance(allow_scripts, bool) else list(allow_scripts or [])
        if isinstance(allowed, list):
            check_words(allowed)
        start = start_folder(cwd)
        check_words(packages)
        words = [local_path(word, start) for word in packages]
        folder = writable_project(start)
        before = dependencies(folder)
        progress = Progress(words, folder, start)
        run_npm(["install", *words], folder, progress)
        self._review(progress, words, packages, allowed, folder)
        return installed_versions(folder, names_asked_for(words, before, dependencies(folder)))

    def _review(
        self,
        progress: Progress,
        words: list[str],
        packages: tuple[AnyPath, ...],
        allowed: bool | list[str],
        folder: Path,
    ) -> None:
        """Run and record the install scripts that are allowed; say how to allow the others."""
        pending = dict.fromkeys(progress.scripts)
        names = [name for name in pending if allowed is True or name in (allowed or [])]
        if names:
            # Approve what is there now: npm pins the version, and knows it for a path or URL.
            run_npm(["approve-scripts", *names], folder, Silent())
            if progress.blocked:
                run_npm(["rebuild", *names], folder, Progress(words, folder, folder, final=False))
        rest = [name for name in pending if name not in names]
        if rest:
            call = ", ".join(
                [*(repr(os.fspath(word)) for word in packages), f"allow_scripts={rest!r}"]
            )
            what = (
                f"npm did not run the install scripts of {', '.join(rest)}. If you trust them and "
                "they are needed (to fetch or compile a binary), allow them"
                if progress.blocked
                else f"npm ran the install scripts of {', '.join(rest)}, which npm 12 will not do "
                "unless they are allowed"
            )
            progress.warn(f"{what}: npm.install({call})\n")

    def uninstall(self, *packages: str, cwd: AnyPath | None = None) -> dict[str, str]:
        """Remove packages; returns those that were installed and are not any more.

        Raises:
            NpmError: npm failed.
            TypeError, ValueError: no package named, or an argument is no package.

        Example:
            >>> npm.uninstall('left-pad')
            {'left-pad': '1.3.0'}
        """
        words = check_words(packages)
        names = [word for word in words if not word.startswith("-")]
        if not names:
            raise ValueError("name the packages to remove: npm.uninstall('left-pad')")
        start = start_folder(cwd)
        folder = writable_project(start)
        before = installed_versions(folder, names)
        run_npm(["uninstall", *words], folder, Progress(words, folder, start, verb="uninstall"))
        after = installed_versions(folder, names)
        return {name: version for name, version in before.items() if name not in after}

    def list_modules(self, *args: str, cwd: AnyPath | None = None) -> dict[str, str]:
        """The direct dependencies that are installed, and their versions (``npm ls``).

        Args:
            args: names to look for, and flags of ``npm ls`` (``'--omit=dev'``).
            cwd: look there instead of the working directory.

        Raises:
            NpmError: npm failed. A missing or superfluous package is no failure.

        Example:
            >>> npm.list_modules()
            {'left-pad': '1.3.0'}
        """
        folder = nearest_project(start_folder(cwd))
        command = ["ls", "--json", "--depth=0", *check_words(args)]
        exit_code, out, log = execute(command, folder, Silent())
        try:
            tree: dict[str, Any] = json.loads(out)
        except ValueError:
            tree = {"error": {}}
        if exit_code and tree.get("error", {"code": "ELSPROBLEMS"}).get("code") != "ELSPROBLEMS":
            raise explain(command, exit_code, out, log, folder)
        found = tree.get("dependencies", {}).items()
        return {name: str(node["version"]) for name, node in found if "version" in node}

    def run(self, cmd: str, *args: str, cwd: AnyPath | None = None) -> str:
        """Run an npm command line; its output streams through, and its standard output returns.

        Args:
            cmd: the whole line (``'run build'``), or its first word when more are given; a
                single line is split as a shell would, but no shell is involved.
            args: further words, taken as they are.
            cwd: work there instead of the working directory.

        Raises:
            NpmError: npm, or the script it ran, failed.
            TypeError, ValueError: the command is empty, no string, or global.

        Example:
            >>> npm.run('view left-pad version')
            1.3.0
            '1.3.0\\n'
        """
        words = check_words([cmd, *args], whole=True)
        if not args:
            words = shlex.split(cmd)
        refuse_global(words)
        return run_npm(words, writable_project(start_folder(cwd)), Stream())

    def package_current_version(self, name: str, *, cwd: AnyPath | None = None) -> str | None:
        """The version of a package that ``require`` would find here, or None.

        Example:
            >>> npm.package_current_version('left-pad')
            '1.3.0'
        """
        return installed_versions(nearest_project(start_folder(cwd)), [check_name(name)]).get(name)

    def package_latest_version(self, name: str, *, cwd: AnyPath | None = None) -> str:
        """The version that the registry calls latest.

        Raises:
            NpmError: there is no such package, or the registry cannot be reached.

        Example:
            >>> npm.package_latest_version('left-pad')
            '1.3.0'
        """
        command = ["view", check_name(name), "version"]
        return run_npm(command, nearest_project(start_folder(cwd)), Silent()).strip()

    def nodejs_version(self) -> str:
        """The version of the Node.js that Bifrost uses, such as ``'v24.19.0'``; starts no session.

        Raises:
            NodeNotFound: there is none.
        """
        return "v" + ".".join(map(str, find_node().version))
