"""An http(s) address as a user gives it → the request for it, how messages show it, and the name of its file.

Refused, as `InputError`: another scheme, no host, a name or password in it. Queries and fragments may hold keys, so
messages and file names do without them.
"""

from __future__ import annotations

import hashlib
import re
import string
import urllib.parse
from dataclasses import dataclass

from odrun.errors import InputError

SCHEMES = ("http", "https")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_SUFFIX = re.compile(r"(\.tar\.gz|\.[A-Za-z0-9]{1,8})$", re.IGNORECASE)
_REMEDY = "give an address that begins with http:// or https://, or fetch the file yourself and give its path"


@dataclass(frozen=True)
class Address:
    """`request` is what to ask for, in ASCII; `shown` what messages say; `file_name` differs for each address."""

    request: str
    shown: str
    file_name: str


def is_address(text: str) -> bool:
    """Whether `text` is an address (of whatever scheme) rather than a path."""
    return _SCHEME.match(text) is not None


def parse_address(text: str, key: str) -> Address:
    """The http(s) address `text`, which the setting `key` gave.

    Raises:
        InputError: see the module.
    """
    try:
        parts = urllib.parse.urlsplit(text)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except (ValueError, UnicodeError) as error:
        raise InputError(f"the address is not valid: {error}", where=key, remedy=_REMEDY) from error
    if parts.scheme not in SCHEMES:
        raise InputError(f"files are not fetched by {parts.scheme}://", where=key, remedy=_REMEDY)
    if not host or re.search(r"[\s\x00-\x1f\x7f]", host):
        raise InputError("the address has no host, or none that is valid", where=key, remedy=_REMEDY)
    if parts.username is not None:
        remedy = "fetch the file yourself and give its path"
        raise InputError("the address holds the name of a user, and addresses are logged", where=key, remedy=remedy)
    host = f"[{host}]" if ":" in host else host
    place = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}"
    path = urllib.parse.quote(parts.path or "/", safe=string.punctuation)
    query = f"?{urllib.parse.quote(parts.query, safe=string.punctuation)}" if parts.query else ""
    return Address(place + path + query, place + path, _file_name(parts.path, place + path + query))


def _file_name(path: str, request: str) -> str:
    name = urllib.parse.unquote(path.rstrip("/").rpartition("/")[2], errors="replace")
    found = _SUFFIX.search(name)
    suffix = "" if found is None else found[0]
    digest = hashlib.sha256(request.encode()).hexdigest()[:12]
    # It takes a while to be imported, and most that is asked is whether a path is an address.
    from odrun.transfer.archives import plain_name

    return f"{plain_name(name.removesuffix(suffix))}-{digest}{suffix}"
