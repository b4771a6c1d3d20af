"""What the guide to attachments shows works with a real server, and names what there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import aiohttp

from config.settings import ALL, BlobSettings
from docs.generate import DOCS
from protocol.e2ee import attachments
from signaling.http.blobs_api import BLOBS
from tests.docs.test_guides import code
from tests.signaling.blob_kit import member
from tests.signaling.nodes import back_end, running_node, settings, token

PAGE = "attachments.md"


async def test_the_code_that_uploads_does(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(code(PAGE, "python"), names)  # noqa: S102 - our own guide
    file, key = os.urandom(200_000), os.urandom(32)
    sealed, digest = attachments.encrypt(key, file)
    limits = BlobSettings(patch_bytes=64 * 1024, keep_free_bytes=0, stall_seconds=600)
    async with (
        running_node(settings(tmp_path, blobs=limits)) as node,
        back_end(node) as api,
        aiohttp.ClientSession() as http,
        member(node.url, token("ben", "client")) as ben,
    ):
        room = await api.room("r")
        for _ in range(2):
            assert digest.hex() == await names["upload"](
                http, node.url, token("anna", "therapist"), room, sealed
            )
        got = await ben.get(digest.hex())
    assert attachments.decrypt(key, len(file), got.body) == file


def test_every_operation_and_every_limit_is_named() -> None:
    page = (DOCS / PAGE).read_text()
    for endpoint in BLOBS:
        path = endpoint.path.replace("{blob}", "{sha256}")
        assert path in page, endpoint.name
        assert endpoint.method in page
    about_files = {"blobs.folder", "blobs.patch_bytes", "blobs.request_seconds"}
    for path in ALL:
        if path.startswith("blobs.") and path not in about_files:
            assert f"`{path}`" in page, path
