"""The guide to webhooks: its recipes verify what the server signs, and it names every type and failure."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.webhooks import TYPES
from docs.generate import DOCS
from signaling.webhooks.signing import signature
from tests.docs.test_guides import code

PAGE = (DOCS / "webhooks.md").read_text()
SECRET, OTHER = "the secret that the receiver knows", "a secret that it does not know"
BODY = '{"type": "session.ended", "room": "für 4711"}'.encode()

Verified = Callable[[str, dict[str, str], bytes], bool]


def in_python(_: Path) -> Verified:
    names: dict[str, Any] = {}
    exec(code("webhooks.md", "python"), names)  # noqa: S102 - our own guide
    verified: Verified = names["verified"]
    return verified


def in_node(folder: Path) -> Verified:
    script = folder / "verify.mjs"
    ask = """
const { secret, headers, body } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(verified(secret, headers, Buffer.from(body, "hex"))));
"""
    script.write_text(code("webhooks.md", "js") + ask)

    def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
        lower = {name.lower(): value for name, value in headers.items()}  # as Node's servers give them
        asked = json.dumps({"secret": secret, "headers": lower, "body": body.hex()})
        done = subprocess.run(["node", str(script), asked], check=True, capture_output=True, text=True)
        answer: bool = json.loads(done.stdout)
        return answer

    return verified


@pytest.mark.parametrize("language", [in_python, in_node])
def test_the_recipes_accept_what_is_signed_and_nothing_else(
    tmp_path: Path, language: Callable[[Path], Verified]
) -> None:
    verified = language(tmp_path)
    now_s = int(time.time())

    def headers(*secrets: str, at_s: int = now_s, **changes: str) -> dict[str, str]:
        made = signature([secret.encode() for secret in secrets], "id", at_s, BODY)
        return {"Rapport-Id": "id", "Rapport-Signature": made} | {
            name.replace("_", "-"): value for name, value in changes.items()
        }

    assert verified(SECRET, headers(SECRET), BODY)
    assert verified(SECRET, headers(OTHER, SECRET), BODY), "in a rotation one of them is enough"
    assert verified(SECRET, headers(SECRET, OTHER), BODY)
    assert not verified(SECRET, headers(OTHER), BODY)
    assert not verified(SECRET, headers(SECRET), BODY + b" ")
    assert not verified(SECRET, headers(SECRET, Rapport_Id="other"), BODY)
    assert not verified(SECRET, headers(SECRET, at_s=now_s - 400), BODY)
    assert not verified(SECRET, headers(SECRET, at_s=now_s + 400), BODY)
    snow = "\N{SNOWMAN}"
    for broken in ("", "t=,v1=", f"t={now_s}", "v1=00", f"t={now_s},v1", f"t={now_s},v1={snow * 64}"):
        assert not verified(SECRET, headers(SECRET, Rapport_Signature=broken), BODY), broken


def test_every_type_is_explained() -> None:
    assert [one for one in sorted(TYPES) if f"`{one}`" not in PAGE] == []


def test_every_failure_is_explained() -> None:
    for failure in (
        "timeout",
        "connect",
        "dns",
        "tls",
        "disconnected",
        "not_http",
        "endpoint_removed",
        "internal",
    ):
        assert f"`{failure}`" in PAGE
