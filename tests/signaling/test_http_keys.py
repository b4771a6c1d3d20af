"""Devices and keys of accounts over the API: listed, barred, reset; recorded, and told to back ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.settings import AuditSettings, WebhookSettings
from protocol.fields import Role
from relay.store import Store
from signaling.node import Node
from tests.signaling import nodes
from tests.signaling.keys_kit import Phone
from tests.signaling.nodes import back_end, running_node, settings
from tests.signaling.waiting import until
from tests.signaling.webhook_kit import SECRET, receiver


@dataclass
class NodePlace:
    """A node as phones see it."""

    node: Node

    @property
    def url(self) -> str:
        return f"{self.node.url.replace('http', 'ws')}/v1/connect"

    @property
    def store(self) -> Store:
        return self.node.store

    def token(self, account: str) -> str:
        role: Role = "client"
        return nodes.token(account, role)


async def actions(node: Node) -> list[tuple[str, str, str]]:
    """What was recorded of keys: actor, action, object."""
    found = await node.store.audit(after=0, limit=500)
    kinds = ("device.", "keys.", "vault.")
    return [
        (one.entry.actor, one.entry.action, one.entry.object_id)
        for one in found
        if one.entry.action.startswith(kinds)
    ]


async def test_devices_are_listed_barred_and_reset(tmp_path: Path) -> None:
    async with receiver() as there:
        told = WebhookSettings(
            endpoints={"there": there.url}, secrets={"there": SECRET}, types={"there": "account.*"}
        )
        given = settings(tmp_path, webhooks=told, audit=AuditSettings())
        async with running_node(given) as node, back_end(node) as api:
            await api.room("r", ann="therapist", ben="client")
            place = NodePlace(node)
            ben, tablet = Phone.first(place, "ben", "b1"), Phone.further(place, "ben", "b2")
            assert (await api.get("/v1/accounts/ben/devices")).json == {
                "account": "ben",
                "list": 0,
                "devices": [],
            }
            async with ben.connected(), tablet.connected():
                ben.device.approve("b2", tablet.device.key, 1)
                await ben.settle()
                assert await states(api) == {"b1": "listed", "b2": "listed"}
                await api.post("/v1/accounts/ben/revoke", {"device": "b2"})
                assert await tablet.client.close_code() == 4503
                assert await states(api) == {"b1": "listed", "b2": "barred"}
                ben.device.revoke("b2", 2)
                await ben.settle()
                assert await states(api) == {"b1": "listed"}
                await ben.client.request("vault.put", blob=b"v", revision=0)
                answer = await api.post("/v1/accounts/ben/keys/reset", {})
                assert (answer.status, answer.json) == (200, {"account": "ben"})
                assert await ben.client.close_code() == 4503
            assert (await api.get("/v1/accounts/ben/devices")).json["devices"] == []
            await until(lambda: len(there.received) == 4)
            notices = [(one.json["type"], one.json["data"].get("device")) for one in there.received]
            assert notices == [
                ("account.device_added", "b1"),
                ("account.device_added", "b2"),
                ("account.device_removed", "b2"),
                ("account.keys_reset", None),
            ]
            operator = next(actor for actor, action, _ in await actions(node) if action == "keys.reset")
            assert await actions(node) == [
                ("ben", "device.requested", "b1"),
                ("ben", "keys.listed", "1"),
                ("ben", "device.listed", "b1"),
                ("ben", "device.requested", "b2"),
                ("ben", "keys.listed", "2"),
                ("ben", "device.listed", "b2"),
                (operator, "device.revoked", "b2"),
                ("ben", "keys.listed", "3"),
                ("ben", "device.revoked", "b2"),
                ("ben", "device.dropped", "b2"),
                ("ben", "vault.put", "ben"),
                (operator, "keys.reset", "ben"),
                (operator, "device.revoked", "b1"),
                (operator, "vault.put", "ben"),
            ]


async def states(api: nodes.BackEnd) -> dict[str, str]:
    """The devices of Ben, and how they stand."""
    answer = await api.get("/v1/accounts/ben/devices")
    return {one["device"]: one["state"] for one in answer.json["devices"]}


async def test_devices_are_for_those_with_the_scope(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        api.bearer = nodes.token(scope="rooms")
        for method, path in (("GET", "/v1/accounts/b/devices"), ("POST", "/v1/accounts/b/keys/reset")):
            answer = await api.ask(method, path, {} if method == "POST" else None)
            assert answer.refusal == (403, "token_scope")
