"""Packages and servers that JSPyBridge's README and examples use, with handlers in Python.

They are in its README and examples/python, at github.com/extremeheat/JSPyBridge. The code is
our own.
"""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from bifrost import Node
from bifrost.frontend.npm import Npm


def listen(server: Any) -> str:
    """Start a server; return its address."""
    ready = threading.Event()
    listening = server.listen(0, ready.set)
    assert ready.wait(60)
    return f"http://127.0.0.1:{listening.address()['port']}"


def test_a_web_server_whose_handler_is_python(node: Node) -> None:
    def handler(request: Any, response: Any) -> None:
        response.writeHead(200, {"Content-Type": "text/plain"})
        response.end(f"Hello {request.url[1:]}!")

    server = node.require("http").createServer(handler)
    with urllib.request.urlopen(f"{listen(server)}/World", timeout=60) as reply:
        assert reply.read() == b"Hello World!"
    server.close()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that the examples use."""
    folder = tmp_path_factory.mktemp("packages")
    versions = Npm().install(
        "chalk@4.1.2",
        "chalk5@npm:chalk@5.3.0",
        "cheerio@1.0.0",
        "express@4.21.2",
        "ws@8.18.0",
        "prismarine-nbt@2.7.0",
        "pngjs@7.0.0",
        "--silent",
        cwd=folder,
    )
    assert versions["chalk"] == "4.1.2"
    return folder


@pytest.fixture
def installed(packages: Path, node: Node, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.chdir(packages)
    return node


@pytest.mark.network
def test_two_versions_of_one_package(installed: Node) -> None:
    old, new = installed.require("chalk"), installed.import_("chalk5").default
    for chalk in (old, new):
        chalk.level = 1
        assert chalk.bold.red("world!") == "\x1b[1m\x1b[31mworld!\x1b[39m\x1b[22m"
    assert old is not new


@pytest.mark.network
def test_cheerio_changes_a_page(installed: Node) -> None:
    page = installed.require("cheerio").load('<h2 class="title">Hello world</h2><p>1<p>2')
    page("h2.title").text("Hello there!")
    page("h2").addClass("welcome")
    assert '<h2 class="title welcome">Hello there!</h2>' in page.html()
    assert [page(each).text() for each in page("p")] == ["1", "2"]
    texts: list[str] = []
    page("p").each(lambda _, each: texts.append(page(each).text()))
    assert texts == ["1", "2"]


@pytest.mark.network
def test_nbt_is_written_and_read_in_both_byte_orders(installed: Node) -> None:
    nbt = installed.require("prismarine-nbt")
    data = {
        "type": "compound",
        "name": "",
        "value": {
            "flicker": {"type": "int", "value": -79},
            "colour": {"type": "long", "value": [-1, -75715]},
            "fade": {"type": "byteArray", "value": []},
        },
    }
    for order in ("big", "little"):
        written = nbt.writeUncompressed(data, order)
        parsed = nbt.parse(written, order).result()["parsed"]
        assert json.loads(installed.eval("JSON").stringify(parsed)) == data
    assert nbt.comp({"count": nbt.byte(1)})["value"]["count"] == {"type": "byte", "value": 1}


@pytest.mark.network
def test_an_express_app_is_made_of_python_handlers(installed: Node) -> None:
    express = installed.require("express")
    app = express()
    users = {"1": "Ada"}

    def count(request: Any, response: Any, next_: Any) -> None:
        response.setHeader("X-Path", request.path)
        next_()

    def show(request: Any, response: Any, _next: Any) -> None:
        response.json({"name": users[request.params["id"]]})

    def fail(error: Exception, request: Any, response: Any, _next: Any) -> None:
        response.status(500).send(f"{type(error).__name__}: {error}")

    app.use(express.json())
    app.use(count)
    app.get("/users/:id", show)
    app.use(fail)
    server = installed.require("http").createServer(app)
    address = listen(server)
    with urllib.request.urlopen(f"{address}/users/1", timeout=60) as reply:
        assert json.load(reply) == {"name": "Ada"}
        assert reply.headers["X-Path"] == "/users/1"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{address}/users/2", timeout=60)
    assert caught.value.read() == b"KeyError: '2'"
    server.close()


@pytest.mark.network
def test_a_web_socket_server_answers_its_clients(installed: Node) -> None:
    ws = installed.require("ws")
    web = installed.require("http").createServer()
    server = ws.Server({"server": web})
    address = listen(web).replace("http", "ws")

    def connected(socket: Any, _request: Any) -> None:
        socket.on("message", lambda data, _binary: socket.send(data[::-1]))
        # A cycle through both languages is no garbage to either: it has to be cut.
        socket.once("close", lambda *_: socket.removeAllListeners())

    server.on("connection", connected)
    client = ws(address)
    replies: list[bytes] = []
    finished = threading.Event()

    def on_reply(data: bytes, _binary: bool) -> None:
        replies.append(data)
        if len(replies) == 20:
            finished.set()

    client.on("open", lambda: [client.send(f"{n:03}") for n in range(20)])
    client.on("message", on_reply)
    assert finished.wait(60)
    assert replies == [f"{n:03}"[::-1].encode() for n in range(20)]
    closed = threading.Event()
    client.on("close", lambda *_: closed.set())
    client.close()
    assert closed.wait(60)
    client.removeAllListeners()
    server.close()
    web.close()


@pytest.mark.network
def test_an_image_drawn_in_javascript_is_opened_by_pillow(installed: Node) -> None:
    png = installed.require("pngjs").PNG
    pixels = np.zeros((4, 5, 4), "uint8")
    pixels[..., 0], pixels[1, 2, 1], pixels[..., 3] = 200, 99, 255
    image = png.new({"width": 5, "height": 4})
    image.data = pixels.tobytes()
    opened = PIL.Image.open(io.BytesIO(png.sync.write(image)))
    assert np.array_equal(np.asarray(opened), pixels)
    assert png.sync.read(png.sync.write(image))["data"] == pixels.tobytes()
