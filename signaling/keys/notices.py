"""What back ends are told of the keys of accounts. Pure."""

from __future__ import annotations

from config.webhooks import WebhookType
from signaling.webhooks.notices import AccountData, Notice


def account_notice(kind: WebhookType, account: str, device: str | None, at_ms: int) -> Notice:
    """That something has happened to an account, or to one of its devices."""
    return Notice(kind, at_ms, "", AccountData(account, device))
