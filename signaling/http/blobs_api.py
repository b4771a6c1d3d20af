"""The operations on blobs, declared; they are part of the OpenAPI document like those for back ends."""

from __future__ import annotations

from protocol import errors
from signaling.http import blobs
from signaling.http.blob_schemas import BlobSpec, UploadItem
from signaling.http.endpoint import AnyEndpoint, Endpoint
from signaling.http.member_endpoint import MemberEndpoint

_OFFSET = {"Upload-Offset": "How many bytes are here."}

BLOBS: tuple[MemberEndpoint, ...] = (
    MemberEndpoint(
        method="POST",
        path="/v1/blobs",
        name="beginBlob",
        summary="Begin to upload a blob to a room, or find out what is left to send of it.",
        handle=blobs.begin,
        answers={200: "There is such an upload, or the whole blob.", 201: "The upload can begin."},
        body=BlobSpec,
        result=UploadItem,
        answered={"Location": "The address of the upload, if something is left to send."},
        errors=(
            errors.NO_SUCH_ROOM,
            errors.BLOB_TOO_LARGE,
            errors.BLOB_QUOTA,
            errors.MALFORMED,
            errors.TOO_DEEP,
            errors.TOO_LARGE,
            errors.UNSUPPORTED_MEDIA_TYPE,
            errors.STORE_FULL,
        ),
    ),
    MemberEndpoint(
        method="HEAD",
        path="/v1/blobs/uploads/{upload}",
        name="showUpload",
        summary="Tell where an upload of one's own stands.",
        handle=blobs.show_upload,
        answers={200: "`Upload-Offset` of `Upload-Length` bytes are here; with all of them it is whole."},
        answered={**_OFFSET, "Upload-Length": "How many bytes it has when it is whole."},
        errors=(errors.NO_SUCH_UPLOAD, errors.NO_SUCH_ROOM, errors.BLOB_DIFFERS, errors.STORE_FULL),
    ),
    MemberEndpoint(
        method="PATCH",
        path="/v1/blobs/uploads/{upload}",
        name="sendBlobBytes",
        summary="Send more bytes of an upload. With the last one it is whole, and can be got.",
        handle=blobs.send_bytes,
        answers={204: "The bytes are kept."},
        takes_bytes=True,
        headers={"Upload-Offset": "Where the bytes begin: how many are here already."},
        answered=_OFFSET,
        errors=(
            errors.NO_SUCH_UPLOAD,
            errors.NO_SUCH_ROOM,
            errors.UPLOAD_OFFSET,
            errors.UPLOAD_INTERRUPTED,
            errors.BLOB_TOO_LARGE,
            errors.BLOB_DIFFERS,
            errors.RATE_LIMITED,
            errors.STORE_FULL,
        ),
    ),
    MemberEndpoint(
        method="DELETE",
        path="/v1/blobs/uploads/{upload}",
        name="abandonUpload",
        summary="Delete an upload of one's own that is not whole.",
        handle=blobs.abandon,
        answers={204: "Nothing of it is left."},
        errors=(errors.NO_SUCH_UPLOAD, errors.NO_SUCH_ROOM, errors.STORE_FULL),
    ),
    MemberEndpoint(
        method="HEAD",
        path="/v1/blobs/{blob}",
        name="showBlob",
        summary="Tell whether there is a blob, and its size.",
        handle=blobs.show_blob,
        answers={200: "There is."},
        answered={"Content-Length": "How many bytes it has."},
        errors=(errors.NO_SUCH_BLOB,),
    ),
    MemberEndpoint(
        method="GET",
        path="/v1/blobs/{blob}",
        name="getBlob",
        summary="Get a blob by the SHA-256 of its bytes, in hexadecimal, or one range of it.",
        handle=blobs.get_blob,
        answers={200: "All of it.", 206: "The range asked for.", 304: "It never changes."},
        gives_bytes=True,
        headers={"Range": "Which bytes; one range.", "If-Range": "The `ETag` of what one has a part of."},
        answered={"ETag": "The SHA-256.", "Content-Range": "Which bytes of how many."},
        errors=(errors.NO_SUCH_BLOB, errors.RANGE_INVALID, errors.RATE_LIMITED),
    ),
)

DELETION: tuple[AnyEndpoint, ...] = (
    Endpoint(
        method="DELETE",
        path="/v1/rooms/{room}/blobs/{blob}",
        name="deleteBlob",
        summary="Delete a blob of a room, unless a legal hold keeps it.",
        scope="rooms",
        handle=blobs.delete_blob,
        status=204,
        result=None,
        errors=(errors.NO_SUCH_ROOM, errors.NO_SUCH_BLOB, errors.BLOB_HELD),
    ),
)
"""What back ends can do."""
