"""One GET by urllib: answer and body, with every foreign error told as one of two kinds.

`LostConnectionError`: it may work if tried again. `RefusedByServerError`: it will not.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from odrun.transfer.addresses import SCHEMES
from odrun.transfer.parts import Validators

WHOLE = 200
PARTIAL = 206
RANGE_NOT_SATISFIABLE = 416
_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
_BLOCK_BYTES = 1 << 18
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class LostConnectionError(Exception):
    """The server could not be reached, broke off or is overloaded; `wait_s` is what it asks to wait, if it does.

    `is_unknown` says that there is no server of that name, or no network to ask.
    """

    def __init__(self, message: str, *, wait_s: float | None = None, is_unknown: bool = False) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        self.is_unknown = is_unknown


class RefusedByServerError(Exception):
    """The server answered, and trying again would not help; `status` is None if that is not for its status."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What a server answered: `first_byte` is where the body begins in the file that `validators` describe."""

    status: int
    first_byte: int
    validators: Validators
    _body: http.client.HTTPResponse

    def blocks(self) -> Iterator[bytes]:
        """The body as it arrives.

        Raises:
            LostConnectionError: the server broke off or stalls.
        """
        with _told():
            while block := self._body.read1(_BLOCK_BYTES):
                yield block


@contextmanager
def get(address: str, headers: Mapping[str, str], *, timeout_s: float) -> Iterator[Answer]:
    """Ask for the file at `address`; nothing for `timeout_s` seconds is a lost connection.

    Raises:
        LostConnectionError, RefusedByServerError: see the module.
    """
    asked = {"User-Agent": "odrun", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
    with _told():
        body = _opener().open(urllib.request.Request(address, headers=asked), timeout=timeout_s)  # noqa: S310, this opener knows http and https alone
    with body:
        yield _answer(body)


class _RedirectsToHttp(urllib.request.HTTPRedirectHandler):
    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> object:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (ValueError, RefusedByServerError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if newurl.partition(":")[0].lower() not in SCHEMES:
            raise RefusedByServerError(f"redirects to {newurl.partition(':')[0]}:", status=code)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Without what `build_opener` adds: files, FTP and data addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _RedirectsToHttp(),
    ):
        opener.add_handler(handler)
    return opener


def _answer(body: http.client.HTTPResponse) -> Answer:
    stated = body.headers.get("Content-Length", "")
    length_bytes = int(stated) if stated.isdecimal() and len(stated) < 19 else None
    first_byte = 0
    if body.status not in (WHOLE, PARTIAL):
        raise RefusedByServerError(f"answers {body.status} {_line(body.reason)}", status=body.status)
    if body.status == PARTIAL:
        found = _CONTENT_RANGE.fullmatch(body.headers.get("Content-Range", ""))
        if found is None:
            raise RefusedByServerError("sends a part without saying which", status=PARTIAL)
        first_byte = int(found[1])
        length_bytes = None if found[2] == "*" else int(found[2])
    validators = Validators(body.headers.get("ETag"), body.headers.get("Last-Modified"), length_bytes)
    return Answer(body.status, first_byte, validators, body)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            raise _status(error) from error
    except urllib.error.URLError as error:
        raise _unreachable(error.reason) from error
    except http.client.InvalidURL as error:
        raise RefusedByServerError("is not asked, as the address is not valid") from error
    except http.client.IncompleteRead as error:
        raise LostConnectionError("the server broke off") from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(error) from error
    except (ValueError, UnicodeError) as error:
        raise RefusedByServerError(f"sends what is not HTTP ({_line(error)})") from error


def _status(error: urllib.error.HTTPError) -> Exception:
    said = f"answers {error.code} {_line(error.reason)}"
    if error.code not in _TRANSIENT:
        return RefusedByServerError(said, status=error.code)
    asked = error.headers.get("Retry-After", "")
    return LostConnectionError(f"the server {said}", wait_s=float(asked) if re.fullmatch(r"\d{1,6}", asked) else None)


def _unreachable(reason: object) -> Exception:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return RefusedByServerError(f"has a certificate that cannot be verified ({_line(reason.verify_message)})")
    if isinstance(reason, TimeoutError):
        return LostConnectionError("the server sends nothing")
    if isinstance(reason, http.client.RemoteDisconnected):
        return LostConnectionError("the server broke off")
    if isinstance(reason, OSError):
        told = f"the connection failed: {_line(reason.strerror or reason).lower()}"
        return LostConnectionError(told, is_unknown=isinstance(reason, socket.gaierror))
    return LostConnectionError(f"the connection failed: {_line(reason)}")


def _line(text: object) -> str:
    """On one line, without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))[:200].strip()
