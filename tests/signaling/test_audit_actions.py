"""Of every kind of write it is known whether it is recorded, and every name that is used is described."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from relay import cluster, documents, inbox, keys, push, ratings, retention, writes
from relay.accounts import EraseAccount
from relay.audit_trail import AuditWrite, HoldAudit, ReleaseAudit
from relay.blob_rows import BlobWrite
from relay.scheduling import DropCalendar, PutCalendar, PutSeries, ScheduleWrite
from relay.webhooks import DropDelivery, ReplayDelivery, WebhookWrite
from signaling.audit import actions

ROOT = Path(__file__).parents[2]

RECORDED = {
    writes.Append,  # what the server itself writes: members, sessions, replies, acknowledgements
    writes.CreateRoom,
    writes.SetRoomBody,
    writes.Trim,
    writes.Revoke,
    writes.Reinstate,
    documents.PutDocument,
    ratings.PutRating,
    retention.Purge,
    retention.DropRoom,
    PutSeries,
    PutCalendar,
    DropCalendar,
    ReplayDelivery,
    DropDelivery,
    HoldAudit,
    ReleaseAudit,
    keys.PutDeviceList,
    keys.RequestDevice,
    keys.ListDevice,
    keys.RestoreDevice,
    keys.DropDevice,
    keys.ResetKeys,
    EraseAccount,
    push.PutDoorbell,
    push.DropDoorbell,
    cluster.DrainNode,
}
WITH_AN_EVENT = {writes.AddMember, writes.RemoveMember, writes.PutSession, inbox.ClearFlag}
"""Each is in one commit with an event of the log, which is what is recorded."""

OF_THE_SERVER_ITSELF = {
    writes.Ack,
    writes.MarkRead,
    writes.SetDeadline,
    writes.ClearDeadline,
    writes.PutIdempotency,
    writes.ForgetIdempotency,
    keys.NameDevice,
    keys.PutPrekeys,
    keys.ClaimPrekeys,
    keys.ForgetClaims,
    push.NoteUnrung,
    push.SettleDoorbell,
    cluster.BeatNode,
    cluster.BuryNode,
    cluster.SettleNode,
    cluster.ForgetNodes,
    cluster.Fence,
}
"""How far somebody has received and read, what devices do among themselves, what the server notes."""


def kinds(union: Any) -> set[Any]:
    return {kind for one in get_args(union) for kind in (kinds(one) or {one})}


def test_every_kind_of_write_is_decided_on() -> None:
    own = kinds(AuditWrite) | kinds(WebhookWrite) | kinds(ScheduleWrite) | kinds(BlobWrite)
    known = RECORDED | WITH_AN_EVENT | OF_THE_SERVER_ITSELF | own
    assert kinds(writes.Write) == known


def test_every_name_that_is_used_is_described() -> None:
    used: set[str] = set()
    for file in (ROOT / "signaling").rglob("*.py"):
        text = file.read_text()
        calls = re.findall(r'(?:entry_of|_held)\(\s*\w+,\s*"([a-z_.]+)"', text)
        calls += re.findall(r'self\._record\("([a-z_.]+)"', text)
        used |= set(calls)
    used |= {action for action, _ in actions._DOCUMENTS.values()}
    used |= set(actions._DEVICES.values())
    assert len(used) > 15
    assert used <= set(actions.ACTIONS)
