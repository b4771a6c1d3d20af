"""What a single value must be beyond its type and bounds. Each check is a :data:`config.setting.Check`.

Settings that are good alone and wrong together are the matter of :mod:`config.rules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, urlsplit

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: an HS256 key is at least as long as its hash."""

MAX_CUES = 16
"""Cues before one end of a session."""

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAIL = re.compile(r"mailto:[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,253}")
_BUS_PATHS = {
    "redis": re.compile(r"(/[0-9]{0,5})?"),
    "redis+sentinel": re.compile(r"/[A-Za-z0-9._-]{1,64}"),
    "redis+cluster": re.compile(r"/?"),
}
_POSTGRES_OPTIONS = {"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"}
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_TURN = re.compile(r"turns?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?(\?transport=(udp|tcp))?")


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or a name, can only be reached from the same machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_unspecified(host: str) -> bool:
    """Whether ``host`` stands for all addresses of the machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def words(value: str, characters: int) -> str | None:
    """What people are told."""
    return None if len(value) <= characters else f"must have at most {characters} characters"


def host(value: str) -> str | None:
    """A name or an address to listen on."""
    if _HOST.fullmatch(value) or _is_address(value):
        return None
    return "must be a host name or an IP address"


def address(value: str) -> str | None:
    """One IP address of the machine, or that for all of them."""
    return None if _is_address(value) else "must be an IP address"


def addresses(values: tuple[str, ...]) -> str | None:
    """IP addresses that others can send to."""
    if all(_is_address(value) and not is_unspecified(value) for value in values):
        return None
    return "must be IP addresses that clients can reach, such as 203.0.113.7"


def minutes(values: tuple[str, ...]) -> str | None:
    """At most 16 numbers of minutes within a day, each once."""
    try:
        numbers = {float(value) for value in values}
    except ValueError:
        return "must be numbers of minutes"
    if len(numbers) == len(values) <= MAX_CUES and all(0 <= number <= 1440 for number in numbers):
        return None
    return f"must be at most {MAX_CUES} different numbers from 0 to 1,440"


def web_url(value: str) -> str | None:
    """``https://...`` or ``http://...``, with a host and no query."""
    parts = _split(value)
    if (
        parts
        and parts.scheme in {"http", "https"}
        and parts.hostname
        and not parts.query
        and not parts.fragment
    ):
        return None
    return "must be a URL such as https://rtc.example.org"


def services(values: tuple[str, ...]) -> str | None:
    """Hosts by name, or `*` for any."""
    if all(value == "*" or _HOST.fullmatch(value) for value in values):
        return None
    return "must be host names, such as push.example.org, or *"


def contact(value: str | None) -> str | None:
    """Where people are reached: an address for mail, or of a page."""
    if value is None or _MAIL.fullmatch(value) or not web_url(value):
        return None
    return "must be a mailto: address or an https:// address"


def origins(values: tuple[str, ...]) -> str | None:
    """Web origins as browsers send them (RFC 6454, 6.1): scheme, host, port, nothing else."""
    for value in values:
        parts = _split(value)
        if not parts or web_url(value) or parts.path or parts.username is not None:
            return "must be origins such as https://app.example.org, without a path"
    return None


def store_url(value: str) -> str | None:
    """``sqlite:///relative/path``, ``sqlite:////absolute/path``, or ``postgresql://...`` with no password."""
    if value.startswith("sqlite:///") and len(value) > len("sqlite:///") and not value.endswith("/"):
        return None
    if value.startswith("postgresql://") and _is_postgres(value):
        return None
    return (
        "must be sqlite:///relative/path or sqlite:////absolute/path of the database file, or "
        "postgresql://user@host:5432,host:5432/name?sslmode=verify-full; the password is a setting of its own"
    )


def _is_postgres(value: str) -> bool:
    """Whether a URL names a user, a database and where it is, and options of the connection alone."""
    try:
        parts = urlsplit(value)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        return False
    user, at, hosts = parts.netloc.rpartition("@")
    each = [_split(f"//{one}") for one in hosts.split(",")]
    reachable = all(one and _HOST.fullmatch((one.hostname or "").replace(":", "-")) for one in each)
    return bool(
        (reachable or (not hosts and options.get("host", "").startswith("/")))
        and at
        and _KEY_ID.fullmatch(user)
        and _KEY_ID.fullmatch(parts.path.removeprefix("/"))
        and options.keys() <= _POSTGRES_OPTIONS
        and not parts.fragment
    )


def one_line(value: str) -> str | None:
    """A short text that people read."""
    if value.strip() and value.isprintable() and len(value) <= 100:
        return None
    return "must be one line of at most 100 characters"


def region(value: str) -> str | None:
    """A label, or none."""
    if not value or _KEY_ID.fullmatch(value):
        return None
    return "must have at most 64 characters out of letters, digits and . _ -"


def bus_url(value: str) -> str | None:
    """``memory://``, the bus inside one process, or Redis in one of its ways; no passwords, no options."""
    parts = urlsplit(value)
    path = _BUS_PATHS.get(parts.scheme.replace("rediss", "redis", 1))
    plain = not parts.query and not parts.fragment and "@" not in parts.netloc
    hosts = [_split(f"//{each}") for each in parts.netloc.split(",")]
    reachable = all(each and _HOST.fullmatch((each.hostname or "").replace(":", "-")) for each in hosts)
    one = len(hosts) == 1 or "+" in parts.scheme
    if value == "memory://" or (path and path.fullmatch(parts.path) and plain and reachable and one):
        return None
    return (
        "must be memory://, redis://host:6379/0, redis+sentinel://host:26379,host:26379/master or "
        "redis+cluster://host:6379,host:6379 (or rediss... for TLS); users and passwords are settings of "
        "their own"
    )


def bus_keys(value: str | None) -> str | None:
    """One or more keys that cannot be guessed."""
    if value is None or (value.split() and all(len(key) >= MIN_SECRET_BYTES for key in value.split())):
        return None
    return f"must have at least {MIN_SECRET_BYTES} characters, each: try `openssl rand -hex 32`"


def password(value: str | None) -> str | None:
    """A password as Redis and PostgreSQL can hold it: printable, and without spaces."""
    if value is None or (value.isprintable() and value and " " not in value):
        return None
    return "must have printable characters and no spaces"


def bus_prefix(value: str) -> str | None:
    """What names in Redis begin with; no braces, which mean something in a cluster."""
    return (
        None if _KEY_ID.fullmatch(value) else "must have 1 to 64 characters out of letters, digits and . _ -"
    )


def api_keys(value: Mapping[str, str]) -> str | None:
    """Ids of API keys with secrets that are long enough."""
    if wrong := _wrong_id(value):
        return wrong
    for key_id, secret in value.items():
        if len(secret.encode()) < MIN_SECRET_BYTES:
            return (
                f"the secret of {key_id!r} has less than {MIN_SECRET_BYTES} bytes: try `openssl rand -hex 32`"
            )
    return None


def jwks_urls(value: Mapping[str, str]) -> str | None:
    """Issuers with the addresses of their key sets: over TLS, or on the same machine."""
    for issuer, url in value.items():
        parts = _split(url)
        secure = parts is not None and (parts.scheme == "https" or is_loopback(parts.hostname or ""))
        if not issuer or web_url(url) or not secure:
            return "must give each issuer an https:// address (http:// only on loopback)"
    return None


def turn_urls(values: tuple[str, ...]) -> str | None:
    """Addresses of TURN servers (RFC 7065, 3.1)."""
    if all(_TURN.fullmatch(value) for value in values):
        return None
    return "must be addresses such as turn:turn.example.org:3478?transport=udp"


def shared_secret(value: str | None) -> str | None:
    """A secret that two servers share."""
    if value is None or len(value.encode()) >= MIN_SECRET_BYTES:
        return None
    return f"has less than {MIN_SECRET_BYTES} bytes: try `openssl rand -hex 32`"


def bearer(value: str | None) -> str | None:
    """A bearer token that cannot be guessed and fits a header (RFC 6750, 2.1)."""
    if value is None or re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,512}", value):
        return None
    return "must have 16 to 512 characters out of letters, digits and . _ ~ + / = -"


def _wrong_id(value: Mapping[str, str]) -> str | None:
    if all(_KEY_ID.fullmatch(key_id) for key_id in value):
        return None
    return "must have ids of 1 to 64 characters out of letters, digits and . _ -"


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _split(value: str) -> SplitResult | None:
    """The parts of a URL, or None if it is none; reading the port checks it too."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts
