"""Express and Fastify, whose route handlers are Python functions, under load."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bifrost import Node
from bifrost.frontend.npm import Npm
from support import leaks
from support.load import get, get_all

pytestmark = pytest.mark.network
REQUESTS = int(os.environ.get("BIFROST_REQUESTS", "300"))

_LISTEN = {
    "express": """(sync, later) => {
        const app = require("express")();
        app.get("/sync/:n", sync);
        app.get("/async/:n", later);
        const server = app.listen(0, "127.0.0.1");
        globalThis.end = () => { server.closeAllConnections(); server.close(); };
        return new Promise((done) => server.on("listening", () => done(server.address().port)));
    }""",
    "fastify": """async (sync, later) => {
        const app = require("fastify")();
        app.get("/sync/:n", sync);
        app.get("/async/:n", later);
        await app.listen({ port: 0, host: "127.0.0.1" });
        globalThis.end = () => { app.server.closeAllConnections(); app.close(); };
        return app.server.address().port;
    }""",
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("servers")
    Npm().install("express@5", "fastify@5", cwd=folder)
    return folder


@pytest.fixture
def node(leaves_nothing: None, packages: Path) -> Iterator[Node]:
    environment = {"NODE_ENV": "test"}  # or Express prints the errors of its handlers
    with Node(cwd=packages, env=environment, node_options=["--expose-gc"]) as one:
        yield one
        leaks.check_references(one)


def work(request: Any) -> dict[str, Any]:
    n = int(request.params["n"])
    if n == 13:
        raise ValueError(f"no {n}")
    return {"n": n, "double": 2 * n}


def express_sync(request: Any, response: Any, _following: Any) -> None:
    response.json(work(request))


async def express_async(request: Any, response: Any, _following: Any) -> None:
    await asyncio.sleep(0.001)
    response.json(work(request))


def fastify_sync(request: Any, _reply: Any) -> dict[str, Any]:
    return work(request)


async def fastify_async(request: Any, _reply: Any) -> dict[str, Any]:
    await asyncio.sleep(0.001)
    return work(request)


HANDLERS = {
    "express": (express_sync, express_async),
    "fastify": (fastify_sync, fastify_async),
}


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("framework", _LISTEN)
def test_python_functions_are_route_handlers(node: Node, framework: str, busy: bool) -> None:
    port = node.eval(_LISTEN[framework])(*HANDLERS[framework]).result()
    paths = [f"/{'async' if n % 2 else 'sync'}/{n}" for n in range(100, 100 + REQUESTS)]
    answers: list[tuple[int, str]] = []
    client = threading.Thread(target=lambda: answers.extend(get_all(port, paths, 20)))
    client.start()
    runs = 0
    while client.is_alive():
        if busy:
            runs += 1
            assert (
                node.run("const squared = f(n) ** 2", {"n": runs, "f": abs})["squared"] == runs**2
            )
        else:
            client.join(1)
    assert answers == [(200, f'{{"n":{n},"double":{2 * n}}}') for n in range(100, 100 + REQUESTS)]
    assert not busy or runs
    for way in ("sync", "async"):
        status, body = get(port, f"/{way}/13")
        assert status == 500
        assert "no 13" in body
        assert {status for status, _ in get_all(port, [f"/{way}/13"] * 20, 5)} == {500}
        assert get(port, f"/{way}/1") == (200, '{"n":1,"double":2}')
    node.run("end()")


@pytest.mark.parametrize("framework", _LISTEN)
def test_python_ends_while_it_serves(framework: str, packages: Path) -> None:
    script = f"""
        import http.client
        from bifrost import Node

        node = Node(cwd={str(packages)!r})
        handle = lambda request, *_: f"got {{request.params['n']}}"
        if {framework!r} == "express":
            handle = lambda request, response, *_: response.send(f"got {{request.params['n']}}")
        port = node.eval({_LISTEN[framework]!r})(handle, handle).result()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/sync/5")
        print(connection.getresponse().read().decode())
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "got 5\n", "")
