from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odrun.errors import InputError
from odrun.transfer.addresses import is_address, parse_address


@pytest.mark.parametrize(
    ("text", "request_", "shown", "name"),
    [
        ("http://a.org/b.zip", "http://a.org/b.zip", "http://a.org/b.zip", "b-*.zip"),
        ("HTTPS://A.org:8/b.TAR.GZ?k=1#f", "https://a.org:8/b.TAR.GZ?k=1", "https://a.org:8/b.TAR.GZ", "b-*.TAR.GZ"),
        ("https://a.org", "https://a.org/", "https://a.org/", "data-*"),
        ("https://a.org/ds/key/", "https://a.org/ds/key/", "https://a.org/ds/key/", "key-*"),
        ("https://a.org/größe 1.zip", "https://a.org/gr%C3%B6%C3%9Fe%201.zip", None, "gr_e_1-*.zip"),
        ("https://a.org/a%2F..%2f.zip", "https://a.org/a%2F..%2f.zip", None, "a_.._-*.zip"),
        ("http://bücher.org/b.zip", "http://xn--bcher-kva.org/b.zip", None, "b-*.zip"),
        ("http://[::1]:80/b.zip", "http://[::1]:80/b.zip", None, "b-*.zip"),
    ],
)
def test_an_address_is_made_fit_to_send_show_and_name(text: str, request_: str, shown: str | None, name: str) -> None:
    address = parse_address(text, "dataset.path")
    assert (address.request, address.shown) == (request_, shown or request_)
    start, _, suffix = name.partition("*")
    assert address.file_name.startswith(start)
    assert address.file_name[len(start) + 12 :] == suffix


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ftp://a.org/b.zip", "files are not fetched by ftp://"),
        ("file:///etc/passwd", "files are not fetched by file://"),
        ("s3://bucket/b.zip", "files are not fetched by s3://"),
        ("http://", "the address has no host, or none that is valid"),
        ("http:///b.zip", "the address has no host, or none that is valid"),
        ("http://a b/c.zip", "the address has no host, or none that is valid"),
        ("http://me:secret@a.org/b.zip", "the address holds the name of a user, and addresses are logged"),
        ("http://[::1/b.zip", "the address is not valid: Invalid IPv6 URL"),
    ],
)
def test_what_cannot_be_fetched_is_refused(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text, "dataset.path")
    assert (caught.value.what, caught.value.where) == (what, "dataset.path")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("http://a", True), ("S3://a", True), ("/a/http://b", False), ("a.zip", False), ("C:\\a", False), ("", False)],
)
def test_a_path_is_told_from_an_address(text: str, is_one: bool) -> None:
    assert is_address(text) == is_one


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(f"http://{text}", "dataset.path")
    except InputError:
        return
    assert address.request.isascii()
    assert len(address.file_name) < 100
    assert not set(address.file_name) & set("/\\:\0\n ")
