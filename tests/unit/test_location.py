"""The URL's grammar."""

from __future__ import annotations

import pickle
import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etcd_settings.errors import ConfigurationError
from etcd_settings.location import Location, normalize_endpoints, parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("etcd://localhost/config/app/", Location(scheme="etcd", endpoints=("localhost:2379",), prefix="/config/app/")),
        ("etcd://localhost/config/app", Location(scheme="etcd", endpoints=("localhost:2379",), prefix="/config/app/")),
        ("ETCD://LocalHost:02379", Location(scheme="etcd", endpoints=("localhost:2379",), prefix="/")),
        ("etcds://a:1,b,c:3/x/", Location(scheme="etcds", endpoints=("a:1", "b:2379", "c:3"), prefix="/x/")),
        (
            "etcd://[::1],[2001:DB8::0:1]:5/",
            Location(scheme="etcd", endpoints=("[::1]:2379", "[2001:db8::1]:5"), prefix="/"),
        ),
        (
            "etcd://root:s%40%2F%3A%3f%25@h/",
            Location(scheme="etcd", endpoints=("h:2379",), prefix="/", user="root", password="s@/:?%"),
        ),
        ("etcd://u:a@b@h/", Location(scheme="etcd", endpoints=("h:2379",), prefix="/", user="u", password="a@b")),
        ("etcd://u:@h/", Location(scheme="etcd", endpoints=("h:2379",), prefix="/", user="u", password="")),
        ("etcd://h/a%20b/%C3%BC/%ff", Location(scheme="etcd", endpoints=("h:2379",), prefix="/a b/ü/\udcff/")),
        ("etcd://h/a@b", Location(scheme="etcd", endpoints=("h:2379",), prefix="/a@b/")),
        ("etcd://h/?prefix=config/app", Location(scheme="etcd", endpoints=("h:2379",), prefix="config/app/")),
        ("etcd://h?prefix=", Location(scheme="etcd", endpoints=("h:2379",), prefix="")),
        ("etcd+srv://Example.com/p", Location(scheme="etcd+srv", name="example.com", prefix="/p/")),
        ("memory://Tests/p", Location(scheme="memory", name="Tests", prefix="/p/")),
        ("file:///etc/my%20app.toml", Location(scheme="file", name="/etc/my app.toml")),
        ("file://localhost/x.json?prefix=app", Location(scheme="file", name="/x.json", prefix="app/")),
    ],
)
def test_a_url_says_where(url: str, expected: Location) -> None:
    """Scheme, hosts, credentials and prefix are read as the grammar says, and spelled in one way."""
    assert expected == parse_url(url)


def test_every_option_is_read() -> None:
    """Options may come in any order, only `layer` repeatedly, and a plus sign is a plus sign."""
    location = parse_url(
        "etcds://h/p/?layer=common/&ttl=5&layer=production&timeout=.5&ca=/c+a.pem&cert=/cert.pem&key=/key.pem"
        "&server_name=etcd.local&last_good=/var/lib/app.etcd&required=No"
    )

    assert (
        Location(
            scheme="etcds",
            endpoints=("h:2379",),
            prefix="/p/",
            layers=("common/", "production/"),
            ttl=5.0,
            timeout=0.5,
            ca="/c+a.pem",
            cert="/cert.pem",
            key="/key.pem",
            server_name="etcd.local",
            last_good="/var/lib/app.etcd",
            required=False,
        )
        == location
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "does not start with a scheme"),
        ("localhost:2379/config/", "does not start with a scheme"),
        ("etdc://h/", "'etdc' is unknown. Did you mean 'etcd'?"),
        ("https://h/", "'https' is unknown. Did you mean 'etcds'?"),
        ("etcd://h/?tll=3", "'tll' is unknown. Did you mean 'ttl'?"),
        ("etcd://h/?Server-Name=x", "'Server-Name' is unknown. Did you mean 'server_name'?"),
        ("etcd://h/?zzz=3", "'zzz' is unknown. Known are layer, ttl"),
        ("etcd://h/?=3", "without a proper name"),
        ("etcd://h/?ttl", "'ttl' has no value"),
        ("etcd://h/?ttl=soon", "'ttl' is not a number of seconds"),
        ("etcd://h/?ttl=-1", "'ttl' is not a number of seconds"),
        ("etcd://h/?ttl=nan", "'ttl' is not a number of seconds"),
        ("etcd://h/?ttl=1&ttl=2", "'ttl' is given twice"),
        ("etcd://h/?required=maybe", "'required' is neither 'true' nor 'false'"),
        ("etcds://h/?ca=", "'ca' is empty"),
        ("etcd://h/?ca=/ca.pem", "'ca' is about TLS, and its scheme is 'etcd': etcds speaks TLS"),
        ("memory://m/?cert=/c.pem", "'cert' is about TLS"),
        ("etcd://h/a/?prefix=b", "names a prefix twice"),
        ("etcd://h/a%2", "a '%' that starts no escape"),
        ("etcd://h/#x", "contains a '#'"),
        ("etcd:///p/", "Endpoint 1 names no host"),
        ("etcd://a,,b/p/", "Endpoint 2 names no host"),
        ("etcd://a,:1/p/", "Endpoint 2 names no host"),
        ("etcd://a:/p/", "Endpoint 1 has a port that is no number"),
        ("etcd://a:0/p/", "a port that is no number from 1 to 65535"),
        ("etcd://a:65536/p/", "a port that is no number from 1 to 65535"),
        ("etcd://a:٣/p/", "a port that is no number from 1 to 65535"),
        ("etcd://::1/p/", "stands in brackets"),
        ("etcd://[::g]/p/", "no IPv6 address"),
        ("etcd://[::1]x/p/", "stands in brackets"),
        ("etcd://a b/p/", "characters that no host's name has"),
        ("etcd://:pw@h/p/", "no user before it"),
        ("etcd://u:12/34@h/p/", "an '@' after its first '/'"),
        ("etcd+srv://a.com:2379/p/", "one domain and neither a port"),
        ("etcd+srv://a.com,b.com/p/", "one domain and neither a port"),
        ("memory:///p/", "names its store"),
        ("memory://u:p@m/", "names its store"),
        ("file://settings.toml", "three slashes"),
        ("file:///", "three slashes"),
    ],
)
def test_what_is_wrong_is_said(url: str, words: str) -> None:
    """Every mistake has an error of its own that names the place and the rule."""
    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        parse_url(url)

    assert caught.value.__context__ is None


SECRET = "q7Zk"


@given(
    before=st.text(alphabet="0a/?#@:&=%[],+ \\", max_size=4),
    after=st.text(alphabet="0a/?#@:&=%[],+ \\", max_size=4),
    rest=st.sampled_from(["@h/p/", "@h:1/p?ttl=1", "@[::1]/p/?nope=1", "@h:bad/", "@/", "@h/p/?ttl=x"]),
)
@example(before="12/", after="", rest="@h/p/")
@example(before="12?", after="=1", rest="@h/p/")
@example(before="@0/", after="", rest="@h/p/")
@example(before="", after="/", rest="@h/p/")
def test_no_error_shows_a_part_of_a_password(before: str, after: str, rest: str) -> None:
    """However badly a password is escaped, and whatever else is wrong, no error shows a part of it."""
    try:
        location = parse_url(f"etcd://user:{before}{SECRET}{after}{rest}")
    except ConfigurationError as e:
        shown = f"{e!r} {e} {e.__dict__} {e.__cause__!r} {e.__context__!r}"
    else:
        shown = repr(location)

    assert SECRET not in shown
    assert SECRET.lower() not in shown


@given(
    password=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    prefix=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_an_escaped_url_says_what_was_meant(password: str, prefix: str) -> None:
    """Any password and any prefix can be written, by percent-escapes."""
    location = parse_url(f"etcd://u:{quote(password, safe='')}@h:1/{quote(prefix, safe='')}/")

    assert (password, f"/{prefix}/") == (location.password, location.prefix)


@given(st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}(:[1-9][0-9]{0,3})?", fullmatch=True), min_size=1))
def test_endpoints_have_one_spelling(endpoints: list[str]) -> None:
    """Spelling endpoints that are spelled already changes nothing, and a text with commas is a list."""
    once = normalize_endpoints(endpoints)

    assert once == normalize_endpoints(once) == normalize_endpoints(",".join(endpoints))


def test_no_endpoint_is_an_error() -> None:
    """An empty list of endpoints is not the default one."""
    with pytest.raises(ConfigurationError, match="No endpoint"):
        normalize_endpoints([])


def test_a_url_with_a_scheme_is_no_endpoint() -> None:
    """What etcdctl takes as an endpoint is refused with the right form, and not read as a host's name."""
    with pytest.raises(ConfigurationError, match="neither scheme nor path"):
        normalize_endpoints(["http://127.0.0.1:2379"])


def test_a_location_pickles_and_hides_its_password() -> None:
    """A location makes the round trip through pickle; its repr does not show the password."""
    location = parse_url(f"etcd://u:{SECRET}@h/")

    assert location == pickle.loads(pickle.dumps(location))
    assert SECRET not in repr(location)
