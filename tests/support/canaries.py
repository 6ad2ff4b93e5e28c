"""What attacks are after: files, a secret, a process, sockets. All in reach of any user."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOBODY = 65534


@dataclass
class Canaries:
    """What is to be left alone."""

    folder: Path
    secret: str
    victim: subprocess.Popen[bytes]
    given: dict[str, Any]

    def file(self, number: int) -> Path:
        """A file for one attack, as others have left it."""
        path = self.folder / f"file{number}"
        if not path.exists():
            path.write_text(f"CANARY={self.secret}\n")
            path.chmod(0o666)
        return path

    def harm(self) -> list[str]:
        """What was done to them."""
        done = []
        files = {path.name for path in self.folder.iterdir()}
        known = {"link", "json.json", "addon.node", "socket", "target"}
        done += [f"made {name}" for name in files - known if not name.startswith("file")]
        for name in files:
            path = self.folder / name
            if name.startswith("file") and path.read_text() != f"CANARY={self.secret}\n":
                done.append(f"changed {name}")
            if name.startswith("file") and path.stat().st_mode & 0o777 != 0o666:
                done.append(f"changed the mode of {name}")
        if self.victim.poll() is not None:
            done.append("killed the victim")
        return done


class _Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@contextlib.contextmanager
def canaries() -> Iterator[Canaries]:
    """Set them up; at the end all of it is gone."""
    folder = Path(tempfile.mkdtemp(prefix="canaries-", dir="/tmp"))
    folder.chmod(0o777)
    secret = secrets.token_hex(16)
    (folder / "target").write_text(secret)
    (folder / "link").symlink_to(folder / "target")
    (folder / "json.json").write_text(json.dumps({"secret": secret}))
    (folder / "addon.node").write_bytes(b"\x7fELF")
    user = {"user": NOBODY} if os.geteuid() == 0 else {}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        victim = subprocess.Popen(["/bin/sleep", "1000"], **user)
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        web = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet))
        web.daemon_threads = True
        serving = threading.Thread(target=web.serve_forever, args=(0.05,))
        serving.start()
        stack.callback(serving.join)
        stack.callback(web.shutdown)
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        unix.listen()
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        name = f"canary-{secret}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        variable = f"CANARY_{secret}"
        os.environ[variable] = secret
        stack.callback(os.environ.pop, variable)
        leak = stack.enter_context((folder / "target").open())
        os.set_inheritable(leak.fileno(), True)
        given = {
            "folder": str(folder),
            "link": str(folder / "link"),
            "json": str(folder / "json.json"),
            "addon": str(folder / "addon.node"),
            "secret": secret,
            "victim": victim.pid,
            "python": os.getpid(),
            "port": web.server_address[1],
            "udp": udp.getsockname()[1],
            "socket": str(folder / "socket"),
            "abstract": name,
        }
        yield Canaries(folder, secret, victim, given)
