"""Web servers of Python, as they are deployed: each worker process has a Node.js of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.load import free_port, get, get_all

_EXTRA = "is in the extra `servers`: pip install 'bifrost-node[servers]'"

#: What every application does with a request. Variables of a run belong to the whole Node, but
#: a script without a callback runs in one piece; what calls Python takes arguments.
_WORK = """
    import os
    from bifrost import node

    IMPORTED_IN = os.getpid()

    def answer(n):
        run = node.run("const doubled = n * 2", {"n": n})["doubled"]
        called = node.eval("(f, n) => f(n) + 1")(lambda x: x * 10, n)
        return {
            "run": run,
            "called": called,
            "pid": os.getpid(),
            "node": node.info["pid"],
            "imported in": IMPORTED_IN,
            "inherited": node.eval("typeof made_at_import"),
        }
    """

_FASTAPI = """
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/sync/{n}")
    def in_a_thread(n: int):
        return answer(n)

    @app.get("/async/{n}")
    async def on_the_loop(n: int):
        later = node.eval("async (f, n) => { await null; return await f(n) + 1; }")

        async def ten_times(x):
            return x * 10

        return answer(n) | {"called": await later(ten_times, n)}
    """

_FLASK = """
    from flask import Flask

    app = Flask(__name__)

    @app.get("/<way>/<int:n>")
    def in_a_thread(way, n):
        return answer(n)
    """

_DJANGO = """
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import path

    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test")
    urlpatterns = [path("<str:way>/<int:n>", lambda request, way, n: JsonResponse(answer(n)))]
    app = get_wsgi_application()
    """


@contextlib.contextmanager
def serving(folder: Path, source: list[str], *command: str) -> Iterator[tuple[int, str]]:
    """A server in a process of its own, which ends at SIGTERM; its port, and its log's path."""
    (folder / "application.py").write_text("\n".join(map(textwrap.dedent, source)))
    port = free_port()
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *(part.format(port=port) for part in command)],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                get(port, "/sync/1")
                break
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield port, str(log)
        started = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        assert server.wait(20) in (0, -signal.SIGTERM), log.read_text()
        _, alive = psutil.wait_procs(started, timeout=5)
        assert not alive, f"left behind: {alive}"
    finally:
        if server.poll() is None:
            for process in psutil.Process(server.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            server.kill()
            server.wait()


_GUNICORN = ["gunicorn", "--bind=127.0.0.1:{port}", "--workers=2", "--no-control-socket"]
_SERVERS = {
    "FastAPI, uvicorn": (
        ["fastapi", "uvicorn"],
        _FASTAPI,
        ["uvicorn", "--port={port}", "--workers=2", "application:app"],
    ),
    "Flask, gunicorn": (
        ["flask", "gunicorn"],
        _FLASK,
        [*_GUNICORN, "--threads=4", "application:app"],
    ),
    "Flask, gunicorn --preload": (
        ["flask", "gunicorn"],
        _FLASK + "\n    node.run('made_at_import = 1')",
        [*_GUNICORN, "--threads=4", "--preload", "application:app"],
    ),
    "Django, gunicorn": (["django", "gunicorn"], _DJANGO, [*_GUNICORN, "application:app"]),
}


@pytest.mark.parametrize("name", _SERVERS)
def test_every_request_uses_node(name: str, tmp_path: Path) -> None:
    needed, application, command = _SERVERS[name]
    for package in needed:
        pytest.importorskip(package, reason=f"{package} {_EXTRA}")
    with serving(tmp_path, [_WORK, application], *command) as (port, log):
        paths = [f"/{'async' if n % 2 else 'sync'}/{n}" for n in range(40)]
        answers = get_all(port, paths, 8)
        assert [status for status, _ in answers] == [200] * 40, Path(log).read_text()
        got = [json.loads(body) for _, body in answers]
        assert [(one["run"], one["called"]) for one in got] == [
            (n * 2, n * 10 + 1) for n in range(40)
        ]
        workers = {one["pid"] for one in got}
        assert len({one["node"] for one in got}) == len(workers), "each worker has one Node"
        assert {one["inherited"] for one in got} == {"undefined"}
        if "preload" in name:
            assert not workers & {one["imported in"] for one in got}
    assert "Traceback" not in Path(log).read_text()
