"""Inputs that lie elsewhere: each is fetched when it is pulled."""

from __future__ import annotations

import base64
import email.message
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final

from .ranges import Items

__all__ = ["RemoteDataPattern", "RemoteDataSet"]

_SCHEMES: Final = ("http", "https", "data")


class _Remote(Items):
    """Inputs given by their addresses."""

    def _address(self, index: int) -> str:
        raise NotImplementedError

    def _item(self, index: int) -> Any:
        return fetch(self._address(index))


class RemoteDataSet(_Remote):
    """The contents of several addresses, fetched by this process as slices need them.

    JSON becomes the value it stands for, text a str, all else bytes: by the content type.

    Args:
        urls: addresses with the scheme http, https or data.

    Raises:
        TypeError, ValueError: there is something else.
    """

    def __init__(self, *urls: str) -> None:
        self.urls = tuple(_checked(url) for url in urls)

    def __len__(self) -> int:
        return len(self.urls)

    def _address(self, index: int) -> str:
        return self.urls[index]

    def __repr__(self) -> str:
        return f"RemoteDataSet({', '.join(map(repr, self.urls))})"


class RemoteDataPattern(_Remote):
    """Like :class:`RemoteDataSet`, with addresses that differ by a number only.

    Args:
        pattern: an address with ``{slice}`` in the place of the number, which counts from 1.
        length: how many there are.

    Raises:
        ValueError: the pattern has no such place, or the length is none.
    """

    def __init__(self, pattern: str, length: int) -> None:
        if "{slice}" not in pattern:
            raise ValueError(f"{pattern!r} has no {{slice}}, the place of the number")
        if type(length) is not int or length < 0:
            raise ValueError(f"the length is a number of addresses, not {length!r}")
        self.pattern = pattern
        self._length = length
        _checked(pattern.replace("{slice}", "1"))

    def __len__(self) -> int:
        return self._length

    def _address(self, index: int) -> str:
        return self.pattern.replace("{slice}", str(index + 1))

    def __repr__(self) -> str:
        return f"RemoteDataPattern({self.pattern!r}, {len(self)})"


def fetch(url: str) -> Any:
    """The value that lies at an address.

    Raises:
        OSError: it cannot be fetched; the message has the address and the reason.
        ValueError: it is not what its content type says.
    """
    try:
        with urllib.request.urlopen(_request(url)) as response:
            headers: email.message.Message = response.headers
            data: bytes = response.read()
    except urllib.error.HTTPError as error:
        raise OSError(f"cannot fetch {_shown(url)}: {error.code} {error.reason}") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise OSError(f"cannot fetch {_shown(url)}: {reason}") from error
    kind = headers.get_content_type()
    charset = headers.get_content_charset("utf-8")
    try:
        if kind == "application/json" or kind.endswith("+json"):
            return json.loads(data)
        return data.decode(charset) if kind.startswith("text/") else data
    except (ValueError, LookupError) as error:
        raise ValueError(f"{_shown(url)} is no {kind}: {error}") from error


def _request(url: str) -> urllib.request.Request:
    """What to ask for; a name and a password in an address go into a header."""
    parts = urllib.parse.urlsplit(url)
    if parts.username is None and parts.password is None:
        return urllib.request.Request(url)
    name, password = (urllib.parse.unquote(one or "") for one in (parts.username, parts.password))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    secret = base64.b64encode(f"{name}:{password}".encode()).decode()
    return urllib.request.Request(bare, headers={"Authorization": f"Basic {secret}"})


def _checked(url: str) -> str:
    if not isinstance(url, str):
        raise TypeError(f"an address is a str, not {url!r}")
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in _SCHEMES:
        raise ValueError(f"{_shown(url)} is no address of {', '.join(_SCHEMES)}")
    return url


def _shown(url: str) -> str:
    """An address for a message: long ones are cut, and passwords left out."""
    parts = urllib.parse.urlsplit(url)
    if parts.password is not None:
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return url if len(url) <= 120 else url[:117] + "..."
