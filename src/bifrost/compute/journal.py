"""A job's results on disk, so that a Python that starts again goes on where the last one stopped.

The file is only ever appended to: a line that says whose it is, then one record for each
result, checked by a CRC. A record that was being written when the machine stopped is cut off.
Results are flushed to the disk (fsync) once for each batch that arrives together, before
anybody is told of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import JournalError
from ..protocol.parcels import Parcel
from .engine import Work

_FORMAT: Final = "bifrost job journal 1"
_RECORD: Final = struct.Struct("<Q16sQI")  # index, digest of the input, length, CRC


class Journal:
    """The results of one job, in a file.

    Attributes:
        done: where each result's parcel lies in the file, by index: (offset, length).
    """

    def __init__(self, path: str | os.PathLike[str], work: Work, total: int | None = None) -> None:
        """Open a journal, or begin one.

        Args:
            total: the number of the job's inputs, if known.

        Raises:
            JournalError: the file is another job's (work function, arguments or modules
                differ, or it has more inputs), or no journal, or a job that runs is writing it.
        """
        __tracebackhide__ = True
        self.path = Path(path)
        self.done: dict[int, tuple[int, int]] = {}
        self._inputs: dict[int, bytes] = {}
        self._file: BinaryIO = self.path.open("a+b")
        self._is_dirty = False
        try:
            self.acquire()
            self._read(_fingerprint(work))
            if total is not None:
                self.check_total(total)
        except BaseException:
            self.close()
            raise

    def _read(self, fingerprint: str) -> None:
        __tracebackhide__ = True
        file = self._file
        file.seek(0)
        head = file.readline()
        if not head.endswith(b"\n"):  # nothing, or what was being written when it ended
            if not _head(fingerprint).startswith(head):
                raise JournalError(f"{self.path} is no journal of a job: choose another file")
            file.truncate(0)
            file.write(_head(fingerprint))
            self._is_dirty = True
            self.commit()
            return
        try:
            facts = json.loads(head)
        except ValueError:
            facts = None
        if not isinstance(facts, dict) or facts.get("format") != _FORMAT:
            raise JournalError(f"{self.path} is no journal of a job: choose another file")
        if facts.get("work") != fingerprint:
            raise JournalError(
                f"{self.path} is the journal of another job (the work function, its arguments or"
                " its modules differ): choose another file, or remove it to begin anew"
            )
        end = file.tell()
        size = os.fstat(file.fileno()).st_size
        while True:
            record = file.read(_RECORD.size)
            if len(record) < _RECORD.size:
                break
            index, digest, length, crc = _RECORD.unpack(record)
            if length > size:
                break
            data = file.read(length)
            if len(data) < length or zlib.crc32(data, zlib.crc32(record[:-4])) != crc:
                break
            self.done[index] = (end + _RECORD.size, length)
            self._inputs[index] = digest
            end += _RECORD.size + length
        file.truncate(end)  # what was being written when it ended
        file.seek(0, os.SEEK_END)

    def holds(self, index: int, parcel: Parcel) -> bool:
        """Whether the result for this input is there.

        Raises:
            JournalError: the result at this index is that of another input.
        """
        __tracebackhide__ = True
        known = self._inputs.get(index)
        if known is None:
            return False
        if known != _digest(parcel):
            raise JournalError(
                f"input {index} is not the one whose result is in {self.path}: a journal goes"
                " with one sequence of inputs; choose another file"
            )
        return True

    def check_total(self, total: int) -> None:
        """Hear how many inputs there are.

        Raises:
            JournalError: there is a result of an input beyond them.
        """
        __tracebackhide__ = True
        last = max(self.done, default=-1)
        if last >= total:
            raise JournalError(
                f"the inputs end before number {last}, whose result is in {self.path}: a journal"
                " goes with one sequence of inputs; choose another file"
            )

    def results(self) -> Iterator[tuple[int, bytes]]:
        """The results that are there, by index, each read when it is asked for."""
        with self.path.open("rb") as file:
            for index, (offset, length) in sorted(self.done.items()):
                file.seek(offset)
                yield index, file.read(length)

    def add(self, index: int, given: Parcel, result: bytes) -> None:
        """Keep a result. It is on the disk after the next `commit`."""
        head = _RECORD.pack(index, _digest(given), len(result), 0)[:-4]
        crc = zlib.crc32(result, zlib.crc32(head))
        self._file.write(head + struct.pack("<I", crc))
        self._file.write(result)
        self._is_dirty = True

    def commit(self) -> None:
        """Have what was added on the disk."""
        if self._is_dirty:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._is_dirty = False

    def acquire(self) -> None:
        """Keep others from writing it.

        Raises:
            JournalError: another job is writing it.
        """
        __tracebackhide__ = True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(
                f"{self.path} is being written by a job that runs: wait for that, or choose"
                " another file"
            ) from None

    def release(self) -> None:
        """Let others write it, as long as the job is suspended."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if not self._file.closed:
            self.commit()
            self.release()  # a process that is being started has the file, too, for a moment
            self._file.close()


def _head(fingerprint: str) -> bytes:
    return json.dumps({"format": _FORMAT, "work": fingerprint}).encode() + b"\n"


def _fingerprint(work: Work) -> str:
    digest = hashlib.sha256()
    for part in (work.source.encode(), work.arguments):
        digest.update(len(part).to_bytes(8, "little") + part)
    for module in work.modules:
        digest.update(f"{module.name}\0{module.digest}\0".encode())
    return digest.hexdigest()


def _digest(parcel: Parcel) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for piece in parcel:
        digest.update(piece)
    return digest.digest()
