"""Settings of a server: one frozen dataclass per package, from a TOML file, the environment and flags.

Precedence, from low to high: defaults, the file, the environment, flags. Whatever is wrong is reported at
once, each fault with its place. Nothing here knows what a setting is used for.
"""

from __future__ import annotations

from config.faults import ConfigError, Fault
from config.loading import load
from config.settings import (
    AuditSettings,
    BusSettings,
    LimitSettings,
    LogSettings,
    MediaSettings,
    MetricsSettings,
    ScheduleSettings,
    ServerSettings,
    SessionSettings,
    Settings,
    StoreSettings,
    TokenSettings,
    WebhookSettings,
)
from config.sources import DEVELOPMENT_KEY

__all__ = [
    "DEVELOPMENT_KEY",
    "AuditSettings",
    "BusSettings",
    "ConfigError",
    "Fault",
    "LimitSettings",
    "LogSettings",
    "MediaSettings",
    "MetricsSettings",
    "ScheduleSettings",
    "ServerSettings",
    "SessionSettings",
    "Settings",
    "StoreSettings",
    "TokenSettings",
    "WebhookSettings",
    "load",
]
