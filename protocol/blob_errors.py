"""The errors of blobs, which attachments are kept as: rows of the table in :mod:`protocol.errors`."""

from __future__ import annotations

from protocol.error_table import kind as _kind

NO_SUCH_BLOB = _kind(
    1470,
    "no_such_blob",
    404,
    "no room of this account has such a blob, or not any more",
    "it may have expired; ask its sender to send it again",
)
NO_SUCH_UPLOAD = _kind(
    1471,
    "no_such_upload",
    404,
    "this account has no such upload, or not any more",
    "begin it again with `POST /v1/blobs`",
)
BLOB_TOO_LARGE = _kind(
    1472,
    "blob_too_large",
    413,
    "more bytes than a blob may have, than were announced, or than one request may carry",
    "`detail` names the limit",
)
BLOB_QUOTA = _kind(
    1473,
    "blob_quota",
    409,
    "the account or the room has as much as it may have",
    "`detail` names the limit; wait until something has expired, or finish and delete unfinished uploads",
)
UPLOAD_OFFSET = _kind(
    1474,
    "upload_offset",
    409,
    "the bytes do not begin where the upload stands",
    "go on from the `Upload-Offset` of this answer",
)
BLOB_DIFFERS = _kind(
    1475,
    "blob_differs",
    422,
    "the bytes have another SHA-256 than was announced; they were deleted",
    "begin the upload again",
)
UPLOAD_INTERRUPTED = _kind(
    1476,
    "upload_interrupted",
    408,
    "the bytes stopped coming, came too slowly, or another request goes on with the upload",
    "ask with HEAD where the upload stands, and go on from there",
    temporary=True,
)
RANGE_INVALID = _kind(
    1477,
    "range_invalid",
    416,
    "the blob has no bytes there",
    "`Content-Range` tells its size",
)
BLOB_HELD = _kind(
    1478,
    "blob_held",
    409,
    "a legal hold keeps the blob",
    "it can be deleted once the hold is released",
)
