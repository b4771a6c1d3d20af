"""Settings among arguments."""

from __future__ import annotations

import pytest

from config.flags import take


@pytest.mark.parametrize(
    ("arguments", "flags", "left"),
    [
        ([], {}, []),
        (["serve", "--dev"], {}, ["serve", "--dev"]),
        (["serve", "--store.url=a=b", "--dev"], {"store.url": "a=b"}, ["serve", "--dev"]),
        (["--store.url", "x", "serve"], {"store.url": "x"}, ["serve"]),
        (["--store.url", "--dev"], {"store.url": ""}, ["--dev"]),
        (["--store.url"], {"store.url": ""}, []),
        (["--store.url=a", "--store.url=b"], {"store.url": "b"}, []),
        (["--server.port=", "x"], {"server.port": ""}, ["x"]),
        (["--no.such-thing=1"], {"no.such-thing": "1"}, []),
        (["--media.announce=a\nb"], {"media.announce": "a\nb"}, []),
        (["--config=a.toml", "--report", "b.json"], {}, ["--config=a.toml", "--report", "b.json"]),
        (["--", "--store.url=a"], {}, ["--", "--store.url=a"]),
    ],
)
def test_take(arguments: list[str], flags: dict[str, str], left: list[str]) -> None:
    given = list(arguments)
    assert take(given) == (flags, left)
    assert given == arguments
