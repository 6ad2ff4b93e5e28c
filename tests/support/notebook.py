"""Real Jupyter kernels for tests: the newest IPython, and the 7.34 that Colab has."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]
#: What Google Colab runs; later jupyter_client releases need a newer traitlets.
COLAB = ("ipython==7.34.0", "ipykernel==6.17.1")


def colab_packages() -> Path:
    """A folder with Colab's IPython, to be put before the newest one on the path."""
    folder = ROOT / "build" / "colab-ipython"
    if not (folder / ".complete").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        subprocess.run([*command, "--upgrade", *COLAB], check=True)
        (folder / ".complete").touch()
    return folder


@dataclass
class Result:
    """What a cell printed and showed."""

    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    error: str | None = None
    traceback: str = ""
    pages: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)


class Notebook:
    """A running kernel; `run` executes one cell."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def start(self, source: str) -> str:
        """Start a cell and return at once."""
        # After an error a kernel drops, for a moment, what has been sent already.
        return str(self.client.execute(source, stop_on_error=False))

    def finish(self, request: str, timeout: float = 60) -> Result:
        """Collect what a started cell prints until it is over."""
        result = Result()
        deadline = time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            except Empty:
                raise AssertionError(f"the cell is not over after {timeout} s: {result}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            result.messages.append(message)
            if kind == "stream":
                setattr(result, content["name"], getattr(result, content["name"]) + content["text"])
            elif kind == "execute_result":
                result.value = content["data"]["text/plain"]
            elif kind == "error":
                result.error = f"{content['ename']}: {content['evalue']}"
                result.traceback = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        reply = self.client.get_shell_msg(timeout=10)
        while reply["parent_header"].get("msg_id") != request:
            reply = self.client.get_shell_msg(timeout=10)
        for page in reply["content"].get("payload", []):
            result.pages += page.get("data", {}).get("text/plain", "")
        return result

    def run(self, source: str, timeout: float = 60) -> Result:
        return self.finish(self.start(source), timeout)

    def check(self, source: str) -> Result:
        """Run a cell that must not fail."""
        result = self.run(source)
        assert result.error is None, result.traceback
        return result


@contextmanager
def notebook(kind: str, cwd: Path) -> Iterator[Notebook]:
    """A kernel of one kind (``newest`` or ``colab``) in a working directory."""
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    if kind == "colab":
        environment["PYTHONPATH"] = f"{colab_packages()}{os.pathsep}{environment['PYTHONPATH']}"
    manager = KernelManager(kernel_name="python3")
    manager.kernel_spec.argv[:] = [
        sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
    ]  # fmt: skip
    manager.start_kernel(cwd=str(cwd), env=environment)
    running = None
    try:
        running = Notebook(manager)
        yield running
    finally:
        if running is not None:
            running.client.stop_channels()
        manager.shutdown_kernel(now=False)
