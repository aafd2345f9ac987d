"""No secret survives, and what is no secret does."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.mirrors.credentials import Login, split
from paddle_bootstrap.mirrors.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/simple", "https://***@host/simple"),
        ("https://token@host/simple", "https://***@host/simple"),
        ("https://me:p@w@host/simple", "https://***@host/simple"),
        ("https://me:p/w@host/simple", "https://***@host/simple"),
        ("https://me@corp.com:pw@host/", "https://***@host/"),
        ("https://host:8080/@scope/name", "https://host:8080/@scope/name"),
        ("https://host/simple", "https://host/simple"),
        ("https://host/x.whl?Signature=abc%2F&Expires=12", "https://host/x.whl?Signature=***&Expires=***"),
        ("see https://a:b@c/ and http://d:e@f/.", "see https://***@c/ and http://***@f/."),
        ("a mail to me@host", "a mail to me@host"),
        ("proxy = me:pw@host:3128", "proxy = ***@host:3128"),
        ("PIP_PROXY=me:p/w@x@host:3128 (here)", "PIP_PROXY=***@host:3128 (here)"),
        ("proxy = me@corp.com:pw@host:3128", "proxy = ***@host:3128"),
        (f"proxy = me:{'T' * 9000}@host:3128", "proxy = ***@host:3128"),
        ("url:https://h/x@y", "url:https://h/x@y"),
        ("warning:http://host/@scope/name", "warning:http://host/@scope/name"),
        ("paddle:3.0@sha256:aaaa", "paddle:3.0@sha256:aaaa"),
        ("at 12:30 host:8080/@scope/name", "at 12:30 host:8080/@scope/name"),
        ("file:///srv/x:y@z/name", "file:///srv/x:y@z/name"),
        ("name (https://h/x?token=abc)", "name (https://h/x?token=***)"),
        ("name (https://h/x?a=b&token=abc), and", "name (https://h/x?a=***&token=***), and"),
        ("(one) https://h/x?token=abc) (two)", "(one) https://h/x?token=*** (two)"),
        ("(https://h/x?token=a)bc)", "(https://h/x?token=***)"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text("abcXYZ019:@/%!$&'()*+,;=-._~", min_size=1))
def test_no_password_survives(password: str) -> None:
    secret = f"S{password}S"
    assert secret not in redact(f"https://me:{secret}@host/simple")
    secret = re.sub("/+", "/", secret)  # "://" begins an address
    assert secret not in redact(f"proxy = me:{secret}@host:3128")


@given(st.text("abcXYZ019:@/%!$()*+,;=-._~", min_size=1), st.sampled_from(["{}", "name ({})", "({}), and", "f(x, {}"]))
def test_no_value_of_a_query_survives(value: str, around: str) -> None:
    secret = f"S{value}S"
    assert secret not in redact(around.format(f"https://host/x?token={secret}"))
    assert redact(around.format(f"https://host/x?token={secret}")) == around.format("https://host/x?token=***")


@given(st.text(min_size=1), st.text())
def test_what_is_quoted_is_found_again(user: str, password: str) -> None:
    bare, login = split(f"https://{quote(user, safe='')}:{quote(password, safe='')}@host:8080/simple")
    assert bare == "https://host:8080/simple"
    assert login == Login(user, password)


@pytest.mark.parametrize(
    "url", ["https://me:secret", "https://me:secret?@host/", "https://me:secret/x@host", "https://me:se cret@h:y/"]
)
def test_a_bad_address_is_told_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        split(url)
    assert "cret" not in str(caught.value)


def test_a_login_shows_nothing() -> None:
    assert repr(Login("me", "secret")) == "Login(***)"
    assert not hasattr(Login("me", "secret"), "__dict__")
    assert {Login("a", "b"), Login("a", "b")} == {Login("a", "b")}


def test_what_another_program_says_is_told_without_the_password_or_the_token() -> None:
    assert Login("me", "s/t").hidden("some s/t, s%2Ft") == "some ***, ***"
    assert Login("t@ken", "").hidden("t@ken and t%40ken") == "*** and ***"
