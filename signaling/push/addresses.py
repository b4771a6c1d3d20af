"""Where doorbells may be sent: clients name the addresses, so the server must not be led anywhere by them.

A name has to be that of a push service in the settings, and every address that it stands for has to be one
of the public internet. Pure: names are looked up in :mod:`signaling.push.calling`, which connects to what was
checked and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from config.settings import PushSettings

MAX_URL_CHARACTERS = 1024

_URL = re.compile(r"[!-~]+")  # what a request line may have in it (RFC 9112, 3.2)
_UNICAST = IPv6Network("2000::/3")  # all that is assigned for the public internet (RFC 4291, 2.4)


def fault_of(url: str, settings: PushSettings) -> str | None:
    """What is wrong with the address of a push service, for people; None if doorbells may be sent to it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if len(url) > MAX_URL_CHARACTERS or not _URL.fullmatch(url) or not host:
        return "it is no URL"
    if parts.scheme != "https" and not (settings.private and parts.scheme == "http"):
        return "it is not https://"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "it has a user or a fragment"
    if port not in {None, 443} and not settings.private:
        return "its port is not 443"
    if not _named(host, settings.services):
        return "it is not at a push service that this server rings"
    return None


def is_public(address: str) -> bool:
    """Whether an IP address is one of a single host of the public internet."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        # Those that carry an IPv4 address may lead to a private one through a gateway.
        return ip in _UNICAST and ip.is_global and ip.sixtofour is None and ip.teredo is None
    return ip.is_global and not ip.is_multicast


def _named(host: str, services: Collection[str]) -> bool:
    """Whether a host is one of the services, or lies below one."""
    return any(service == "*" or host == service or host.endswith(f".{service}") for service in services)
