"""Many HTTP requests at once, to a server on this machine."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, str]:
    """One request on a connection of its own: the status, and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def get_all(port: int, paths: Iterable[str], concurrency: int) -> list[tuple[int, str]]:
    """Requests by so many threads, each of which keeps its connection where the server does."""
    own = threading.local()
    opened: list[http.client.HTTPConnection] = []

    def request(path: str) -> tuple[int, str]:
        connection = getattr(own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            own.connection = connection
            opened.append(connection)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    with ThreadPoolExecutor(concurrency) as pool:
        answers = list(pool.map(request, paths))
    for connection in opened:
        connection.close()
    return answers
