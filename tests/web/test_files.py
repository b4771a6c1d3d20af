"""Files as they are sealed, proven and named in the browser, in Chromium and in Node."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from protocol.e2ee import attachments
from tests.web.runtimes import Held, Refused, Runtime

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

PICTURES = {
    b"\x89PNG\r\n\x1a\n....": "image/png",
    b"\xff\xd8\xff\xe0": "image/jpeg",
    b"GIF89a": "image/gif",
    b"RIFF\x01\x02\x03\x04WEBPVP8 ": "image/webp",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>": None,
    b"<!doctype html><script>": None,
    b"RIFF\x01\x02\x03\x04WAVEfmt ": None,
    b"": None,
}

NAMES = {
    "worksheet.pdf": "worksheet.pdf",
    "../../etc/passwd": "_.._etc_passwd",
    "C:\\Windows\\evil.exe": "C__Windows_evil.exe",
    "photo\u202egnp.exe": "photognp.exe",  # would be read as photoexe.png
    "javascript:alert(1)": "javascript_alert(1)",
    "<img src=x onerror=alert(1)>.png": "_img src=x onerror=alert(1)_.png",
    " .hidden. ": "hidden",
    "a\x00b\nc.txt": "abc.txt",
    "\u200b": "file",
    "": "file",
    "Grüße 😀.txt": "Grüße 😀.txt",
}


async def test_sha_256_of_pieces(ours: Runtime) -> None:
    for size in (0, 1, 55, 56, 63, 64, 65, 119, 128, 70_001):
        data = hashlib.shake_256(b"data").digest(size)
        for step in (1 if size < 200 else 997, 64, 100_000):
            pieces = [data[at : at + step] for at in range(0, size, step)]
            assert await ours.call("hashOf", pieces) == hashlib.sha256(data).digest()


@pytest.mark.parametrize("size", [0, 1, 65_536, 200_000])
async def test_a_file_is_sealed_for_python_and_opened_again(ours: Runtime, size: int) -> None:
    data = hashlib.shake_256(b"file").digest(size)
    await ours.call("fileOf", data, "sheet.pdf", "application/pdf", hold="file")
    sealed = await ours.call("files.sealFile", Held("file"))
    content, ciphertext = sealed["content"], sealed["ciphertext"]
    assert content["blob"] == hashlib.sha256(ciphertext).digest()
    assert (content["size"], content["name"]) == (size, "sheet.pdf")
    assert (content["type"], content["media_type"]) == ("attachment", "application/pdf")
    assert attachments.decrypt(content["key"], size, ciphertext) == data
    assert await ours.call("files.openFile", content, [ciphertext[:1000], ciphertext[1000:]]) == data
    again = await ours.call("files.sealFile", Held("file"))
    assert again["content"]["key"] != content["key"]


async def test_nothing_is_given_out_of_what_is_not_the_file(ours: Runtime) -> None:
    data = hashlib.shake_256(b"file").digest(70_000)
    key = bytes(range(32))
    ciphertext, digest = attachments.encrypt(key, data)
    described = {"blob": digest, "key": key, "size": len(data)}
    changed = ciphertext[:-20] + bytes([ciphertext[-20] ^ 1]) + ciphertext[-19:]
    cases: list[tuple[bytes, dict[str, Any], str]] = [
        (changed, {}, "attachment_tampered"),
        (ciphertext[:-1], {}, "attachment_truncated"),
        (ciphertext + b"more", {}, "attachment_tampered"),
        (ciphertext, {"blob": bytes(32)}, "attachment_tampered"),  # opens, and is not what was named
        (ciphertext, {"key": bytes(32)}, "attachment_tampered"),
        (ciphertext, {"size": len(data) - 1}, "attachment_tampered"),
        (ciphertext, {"size": 2**40}, "attachment_truncated"),
    ]
    for given, lie, kind in cases:
        with pytest.raises(Refused) as refused:
            await ours.call("files.openFile", described | lie, [given])
        assert refused.value.kind == kind


async def test_a_name_that_is_too_long_keeps_its_ending(ours: Runtime) -> None:
    await ours.call("fileOf", b"x", "😀" * 300 + ".docx", "t" * 400, hold="file")
    content = (await ours.call("files.sealFile", Held("file")))["content"]
    assert content["name"].endswith("😀.docx")
    assert len(content["name"].encode("utf-16-le")) // 2 <= 255
    assert len(content["media_type"]) == 255


async def test_a_picture_is_what_its_bytes_say(ours: Runtime) -> None:
    for data, kind in PICTURES.items():
        await ours.call("fileOf", data, "picture.png", "image/png", hold="file")
        assert await ours.call("harmless.pictureType", Held("file")) == kind
    for media_type in ("image/svg+xml", "text/html", "toString", "IMAGE/PNG", ""):
        assert not await ours.call("harmless.isPicture", media_type)


async def test_names_mislead_nobody(ours: Runtime) -> None:
    for name, shown in NAMES.items():
        assert await ours.call("harmless.harmlessName", name) == shown
    long = await ours.call("harmless.harmlessName", "x" * 255 + ".pdf.exe")
    assert len(long) == 120
    assert long.endswith("….exe")  # what it is stays to be seen
