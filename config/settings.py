"""Every setting there is: one frozen dataclass for each package or port, composed in :class:`Settings`.

A name ends in its unit. Bounds are there so that a slip of the keyboard is found at the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_type_hints

from config import checks, webhooks
from config.setting import Setting, setting, settings_of

KIB = 1 << 10
MIB = 1 << 20
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The front door: one port for HTTP, WebSocket, pages and metrics."""

    host: str = setting("0.0.0.0", "Address to listen on.", check=checks.host)  # noqa: S104 - a server serves
    port: int = setting(8080, "TCP port to listen on; 0 lets the system choose.", between=(0, 65535))
    public_url: str | None = setting(
        None,
        "Where clients reach this server when a proxy stands before it.",
        check=lambda url: url and checks.web_url(url),
    )
    tls_certificate: str | None = setting(
        None, "PEM file with the certificate chain. Without one a proxy has to do TLS.", file=True
    )
    tls_key: str | None = setting(None, "PEM file with the private key of the certificate.", file=True)
    trusted_origins: tuple[str, ...] = setting(
        (),
        "Web origins, besides the server's own, whose pages may connect and ask for attachments.",
        check=checks.origins,
    )
    shutdown_seconds: float = setting(
        20.0, "How long a stop waits for connections and sessions to be handed over.", between=(0, 600)
    )
    uvloop: bool = setting(True, "Whether to run on uvloop; off gives asyncio's own event loop.")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one connection or account may ask of the server. Those that clients need are told in `welcome`."""

    frame_bytes: int = setting(256 * KIB, "Largest WebSocket message.", between=(4 * KIB, 16 * MIB))
    message_bytes: int = setting(96 * KIB, "Largest content of a message.", between=(KIB, 8 * MIB))
    signal_bytes: int = setting(16 * KIB, "Largest body of a signal.", between=(256, MIB))
    http_body_bytes: int = setting(64 * KIB, "Largest body of an HTTP request.", between=(KIB, 16 * MIB))
    requests_in_flight: int = setting(
        100, "Requests of a connection that may wait for their replies.", between=(1, 10_000)
    )
    requests_per_second: float = setting(
        50.0, "Frames per second that a connection may send for long.", between=(0.1, 1_000_000)
    )
    requests_burst: int = setting(
        200, "Frames that a connection may send at once after a pause.", between=(1, 1_000_000)
    )
    account_requests_per_second: float = setting(
        100.0, "The same for all connections of an account together.", between=(0.1, 1_000_000)
    )
    account_requests_burst: int = setting(
        400, "The same for all connections of an account together.", between=(1, 1_000_000)
    )
    connections: int = setting(20_000, "WebSocket connections of the whole server.", between=(1, 1_000_000))
    connections_per_account: int = setting(
        20, "Devices of one account that may be connected, to all nodes together.", between=(1, 10_000)
    )
    joins_per_second: float = setting(
        2.0,
        "Attempts per second of an account to join sessions, for long and on all nodes together.",
        between=(0.01, 10_000),
    )
    joins_burst: int = setting(60, "The same at once after a pause.", between=(1, 10_000))
    hello_seconds: float = setting(
        10.0, "How long a new connection may wait with its `hello`.", between=(0.1, 300)
    )
    ping_seconds: float = setting(25.0, "How often a connection is pinged, on average.", between=(0.1, 600))
    pong_seconds: float = setting(
        20.0,
        "How long the answer to a ping may take before the connection is closed.",
        between=(0.1, 600),
    )
    stall_seconds: float = setting(
        10.0, "How long a socket may take no byte before it is closed.", between=(0.1, 600)
    )
    signal_seconds: float = setting(
        10.0, "How old a waiting signal may become before it is dropped.", between=(0.1, 600)
    )
    unacked_events: int = setting(256, "Events sent to a connection ahead of its `ack`.", between=(1, 65_536))
    unacked_bytes: int = setting(
        MIB, "Bytes of events sent to a connection ahead of its `ack`.", between=(4 * KIB, 256 * MIB)
    )
    outbox_bytes: int = setting(
        MIB, "Bytes waiting to be written to a connection.", between=(4 * KIB, 256 * MIB)
    )


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where rooms, events, sessions and deadlines are kept."""

    url: str = setting(
        "sqlite:///rapport.db",
        "The database: a file of SQLite for a single node (three slashes for a relative path, four for an "
        "absolute one), or PostgreSQL: `postgresql://USER@HOST:PORT,HOST:PORT/NAME?sslmode=verify-full`; of "
        "several hosts the primary is used.",
        check=checks.store_url,
    )
    password: str | None = setting(None, "Password at PostgreSQL.", secret=True, check=checks.password)
    connections: int = setting(8, "Connections to PostgreSQL that read; one more writes.", between=(1, 100))
    connect_seconds: float = setting(
        5.0, "How long each host of PostgreSQL may take over a new connection.", between=(0.1, 60)
    )
    statement_seconds: float = setting(
        10.0, "How long PostgreSQL may take over one statement.", between=(1, 600)
    )
    patience_seconds: float = setting(
        5.0,
        "How long a write waits for PostgreSQL to be reached again before it fails.",
        between=(0, 60),
    )
    synchronous_standby: bool = setting(
        False,
        "Whether a standby that is promoted has all that was ever acknowledged, because PostgreSQL waits for "
        "it (`synchronous_standby_names`). If not, devices compare their logs with the server's after a "
        "failover.",
    )


@dataclass(frozen=True, slots=True)
class BusSettings:
    """How nodes tell each other that there is something new."""

    url: str = setting(
        "memory://",
        "The bus: `memory://` for a single node, or Redis: `redis://HOST:PORT/DB`, "
        "`redis+sentinel://HOST:PORT,HOST:PORT/MASTER`, `redis+cluster://HOST:PORT,HOST:PORT`; with `rediss` "
        "over TLS.",
        check=checks.bus_url,
    )
    key: str | None = setting(
        None,
        "The cluster's key, the same on all nodes: what they send each other is authenticated with it. "
        "Several are separated by spaces, for changing it: the first one signs, all are believed.",
        secret=True,
        check=checks.bus_keys,
    )
    prefix: str = setting(
        "rapport", "What the keys and channels in Redis begin with.", check=checks.bus_prefix
    )
    username: str | None = setting(None, "User at Redis (ACL).")
    password: str | None = setting(None, "Password at Redis.", secret=True, check=checks.password)
    sentinel_username: str | None = setting(None, "User at the Sentinels.")
    sentinel_password: str | None = setting(
        None, "Password at the Sentinels.", secret=True, check=checks.password
    )
    tls_ca: str | None = setting(
        None,
        "PEM file with the authorities that Redis' certificate may be from.",
        default_is="those that the system trusts",
        file=True,
    )
    tls_certificate: str | None = setting(
        None, "PEM file with the certificate that this node shows to Redis.", file=True
    )
    tls_key: str | None = setting(None, "PEM file with the private key of that certificate.", file=True)


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """This node among those that share the store."""

    region: str = setting(
        "",
        "Where this node is, as you call it: calls are held in the region of whoever begins them, if a node "
        "there has room.",
        check=checks.region,
    )


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """The media workers: processes that forward audio and video."""

    workers: int = setting(
        1, "Worker processes.", between=(1, 256), default_is="the cores less one, at least 1"
    )
    host: str = setting("0.0.0.0", "IP address to take media on.", check=checks.address)  # noqa: S104 - a server serves
    port: int = setting(
        40_000,
        "UDP port of the first worker, the next has the next; 0 lets the system choose.",
        between=(0, 65535),
    )
    announce: tuple[str, ...] = setting(
        (), "IP addresses under which clients reach the workers.", check=checks.addresses
    )
    consent_seconds: float = setting(
        30.0, "Silence after which a participant's path counts as gone (RFC 7675).", between=(5, 300)
    )
    max_participants: int = setting(8, "People in one session.", between=(2, 8))
    capacity: int = setting(
        1_000,
        "People at one worker from which on it takes no further session; those it has may still grow.",
        between=(1, 100_000),
    )
    request_timeout_seconds: float = setting(
        5.0, "How long a worker may take to answer the server.", between=(0.1, 60)
    )


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """TURN servers, for clients whose networks let no media through to the workers."""

    urls: tuple[str, ...] = setting(
        (), "Their addresses, such as `turns:turn.example.org:443?transport=tcp`.", check=checks.turn_urls
    )
    secret: str | None = setting(
        None,
        "The secret that they share with this server (coturn: `static-auth-secret`).",
        secret=True,
        check=checks.shared_secret,
    )
    credential_seconds: float = setting(
        float(DAY_SECONDS),
        "How long what a client is given lets it in: as long as a session may take.",
        between=(600, 7 * DAY_SECONDS),
    )


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What holds for sessions unless they say otherwise."""

    join_window_seconds: float = setting(
        600.0, "How long before its start a session can be joined.", between=(0, DAY_SECONDS)
    )
    grace_seconds: float = setting(
        90.0, "Absence that is bridged and not counted as leaving.", between=(0, 3600)
    )
    overrun_minutes: float = setting(
        15.0, "How long after its agreed end a session ends for all; 0: at the agreed end.", between=(0, 1440)
    )
    waiting_room: Literal["everyone", "guests", "nobody"] = setting(
        "everyone", "Who waits to be admitted: all but therapists, all but therapists and clients, or nobody."
    )
    cues_to: Literal["therapists", "everyone", "nobody"] = setting(
        "therapists", "Who is told how much of a session is left."
    )
    cue_minutes: tuple[str, ...] = setting(
        ("10", "5", "0"), "How long before the agreed end they are told.", check=checks.minutes
    )
    cap_cue_minutes: tuple[str, ...] = setting(
        ("5", "1"),
        "How long before the end for all they are told, once the agreed end has passed.",
        check=checks.minutes,
    )
    min_minutes: float = setting(5.0, "Shortest length of a session.", between=(0.05, 1440))
    max_minutes: float = setting(240.0, "Longest length of a session.", between=(0.05, 1440))
    max_ahead_days: int = setting(400, "How far ahead a session may be scheduled.", between=(1, 3660))


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Series of sessions, and calendar feeds."""

    series_ahead_days: int = setting(
        60, "How far ahead the sessions of a series are made.", between=(1, 3660)
    )
    max_series_per_room: int = setting(20, "Series of a room that are not over, at most.", between=(1, 1000))
    calendar_summary: str = setting(
        "Session", "What every session is called in a calendar feed.", check=checks.one_line
    )
    calendar_past_days: int = setting(30, "How far a calendar feed looks back.", between=(0, 400))
    calendar_ahead_days: int = setting(180, "How far a calendar feed looks ahead.", between=(1, 3660))


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """What rooms that have no words of their own answer with outside office hours."""

    text: str | None = setting(
        None,
        "What a client is told who writes outside office hours; without it nothing is.",
        check=lambda text: text and checks.words(text, 2000),
    )
    emergency: str = setting(
        "", "Where to turn in an emergency: told with it.", check=lambda text: checks.words(text, 200)
    )


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Keys of devices: how many are kept, and how fast they are given away."""

    pending_devices: int = setting(
        5, "Devices of an account that may ask to be listed at the same time.", between=(1, 100)
    )
    prekeys_held: int = setting(200, "One-time prekeys that are kept of a device.", between=(1, 10_000))
    low_prekeys: int = setting(
        20, "A device that has fewer one-time prekeys left is asked for more.", between=(0, 10_000)
    )
    claims_per_second: float = setting(
        2.0,
        "Prekeys per second that an account may claim for long, of each node.",
        between=(0.001, 1_000_000),
    )
    claims_burst: int = setting(
        500, "Prekeys that an account may claim at once after a pause, of each node.", between=(1, 1_000_000)
    )
    claimed_per_second: float = setting(
        1.0,
        "Prekeys per second that may be claimed of an account for long, of each node.",
        between=(0.001, 1_000_000),
    )
    claimed_burst: int = setting(
        200,
        "Prekeys that may be claimed of an account at once after a pause, of each node.",
        between=(1, 1_000_000),
    )


@dataclass(frozen=True, slots=True)
class BlobSettings:
    """Attachments: encrypted files of rooms, which the server keeps and cannot read."""

    folder: str | None = setting(
        None,
        "Folder that they are kept in; nothing else of yours belongs there.",
        default_is="`<store>-blobs`, beside the store",
    )
    max_bytes: int = setting(64 * MIB, "Largest attachment.", between=(KIB, 1 << 40))
    account_bytes: int = setting(
        4 << 30, "Attachments of an account together, in all its rooms.", between=(KIB, 1 << 50)
    )
    room_bytes: int = setting(4 << 30, "Attachments of a room together.", between=(KIB, 1 << 50))
    room_count: int = setting(5_000, "Attachments of a room.", between=(1, 1_000_000))
    uploads_per_account: int = setting(
        16, "Uploads of an account that are not finished.", between=(1, 10_000)
    )
    transfers_per_account: int = setting(
        6, "Requests of an account that carry bytes at the same time, up or down.", between=(1, 1_000)
    )
    patch_bytes: int = setting(
        8 * MIB,
        "As much of an upload as one request may carry; the client goes on with another.",
        between=(64 * KIB, 1 << 40),
    )
    keep_free_bytes: int = setting(
        256 * MIB, "Space on the disk that attachments leave to the store.", between=(0, 1 << 50)
    )
    keep_days: int = setting(
        730, "How long an attachment is kept, unless a legal hold keeps it longer.", between=(1, 36_600)
    )
    upload_seconds: float = setting(
        float(DAY_SECONDS), "Age at which an unfinished upload is deleted.", between=(1, 30 * DAY_SECONDS)
    )
    request_seconds: float = setting(
        600.0, "How long one request with bytes of an upload may take.", between=(1, 86_400)
    )
    stall_seconds: float = setting(
        30.0, "How long a transfer may stand still before it is broken off.", between=(0.1, 3600)
    )


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long messages are kept in rooms that do not say so themselves."""

    message_days: int = setting(
        0, "Age from which messages may be purged; 0: they are kept for ever.", between=(0, 36_600)
    )
    wait_days: int = setting(
        90,
        "How much longer than that a message waits for devices that have not fetched it.",
        between=(0, 3660),
    )


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Whose tokens are good."""

    keys: Mapping[str, str] = setting(
        {},
        "API keys: the id, which is the `iss` of its tokens, and the secret.",
        secret=True,
        check=checks.api_keys,
    )
    jwks: Mapping[str, str] = setting(
        {}, "Issuers that sign with keys of their own, and where their key sets are.", check=checks.jwks_urls
    )
    leeway_seconds: float = setting(5.0, "Difference between clocks that is forgiven.", between=(0, 300))
    max_lifetime_seconds: float = setting(
        float(DAY_SECONDS), "Longest time that a token may have left.", between=(60, 30 * DAY_SECONDS)
    )


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Which back ends are told what happens, and how patiently."""

    endpoints: Mapping[str, str] = setting(
        {}, "Endpoints: a name, and the URL that deliveries are posted to.", check=webhooks.endpoints
    )
    secrets: Mapping[str, str] = setting(
        {},
        "Secrets of each endpoint, separated by spaces. Every one signs every delivery, so that they can be "
        "rotated.",
        secret=True,
        check=webhooks.secrets,
    )
    types: Mapping[str, str] = setting(
        {},
        "The types that an endpoint is told, separated by spaces, such as `session.* room.member_added`; all "
        "if it is not named here.",
        check=webhooks.types,
    )
    parallel: int = setting(4, "Requests to one endpoint at the same time.", between=(1, 32))
    connect_seconds: float = setting(5.0, "How long connecting may take.", between=(0.1, 60))
    request_seconds: float = setting(
        10.0, "How long a whole request may take, connecting included.", between=(0.1, 120)
    )
    retry_seconds: float = setting(
        5.0,
        "Longest pause before the second attempt. Every further failure doubles it; a random part of it is "
        "waited.",
        between=(0.01, 3600),
    )
    retry_max_seconds: float = setting(3600.0, "Longest pause between attempts.", between=(0.01, DAY_SECONDS))
    give_up_seconds: float = setting(
        float(DAY_SECONDS), "Age from which a failed attempt is the last one.", between=(1, 30 * DAY_SECONDS)
    )
    keep_days: int = setting(
        30, "How long deliveries that were made or given up can be replayed.", between=(1, 3660)
    )
    undelivered_seconds: float = setting(
        900.0,
        "Age at which a message that no device of a member has received is told as `message.undelivered`.",
        between=(0.1, 30 * DAY_SECONDS),
    )
    low_rating: int = setting(
        2,
        "Score up to which a clinical rating is told as `session.rated_low` too; 0 for none.",
        between=(0, 5),
    )


@dataclass(frozen=True, slots=True)
class PushSettings:
    """Doorbells: how devices that are away are told that something waits."""

    services: tuple[str, ...] = setting(
        ("fcm.googleapis.com", "push.services.mozilla.com", "notify.windows.com", "push.apple.com"),
        "Hosts of the push services that are rung, with all below them; `*` for any on the public internet.",
        check=checks.services,
    )
    contact: str | None = setting(
        None,
        "Where push services reach the operator: a `mailto:` or `https://` address. Some take nothing "
        "without.",
        check=checks.contact,
    )
    key_file: str | None = setting(
        None,
        "File with the private key that proves the server to push services (VAPID); made at the first start.",
        default_is="`<store>-push-key`, beside the store",
    )
    after_seconds: float = setting(
        10.0, "Age at which a message that a device has not acknowledged rings it.", between=(0.1, 3600)
    )
    again_seconds: float = setting(
        1800.0,
        "How long a device that was rung, and has not come, is left alone.",
        between=(0.1, DAY_SECONDS),
    )
    parallel: int = setting(16, "Requests to push services at the same time.", between=(1, 256))
    private: bool = setting(
        False, "Whether push services may be at private addresses, other ports and without TLS. For tests."
    )


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The audit trail: who did what, chained and signed."""

    key_file: str | None = setting(
        None,
        "File with the private key that signs the trail; made at the first start. The public keys lie beside "
        "it, in a file with the ending `.pub`.",
        default_is="`<store>-audit-key`, beside the store",
    )
    checkpoint_file: str | None = setting(
        None,
        "File that every checkpoint is appended to. On another disk it tells more.",
        default_is="`<store>-checkpoints`, beside the store",
    )
    checkpoint_entries: int = setting(
        1000, "Entries after which a checkpoint is signed at the latest.", between=(1, 1_000_000)
    )
    checkpoint_seconds: float = setting(
        300.0, "Time after which new entries are signed at the latest.", between=(1, DAY_SECONDS)
    )
    retention_days: int = setting(
        2192, "How long entries are kept: six years, unless said otherwise.", between=(1, 36_600)
    )
    break_glass_minutes: int = setting(
        60, "How long a break-glass access may last at most.", between=(1, 1440)
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the server writes to standard error. Never message content, tokens or personal data."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "The least that is worth a line.")
    format: Literal["json", "console"] = setting("json", "JSON for machines, or lines for people.")


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Who may read `/metrics`."""

    token: str | None = setting(
        None,
        "Bearer token that `/metrics` asks for. Without one only callers on the same machine are answered.",
        secret=True,
        check=checks.bearer,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a server, good each by itself and together."""

    server: ServerSettings = field(default_factory=ServerSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    turn: TurnSettings = field(default_factory=TurnSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    replies: ReplySettings = field(default_factory=ReplySettings)
    keys: KeySettings = field(default_factory=KeySettings)
    blobs: BlobSettings = field(default_factory=BlobSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    push: PushSettings = field(default_factory=PushSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    log: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)


SECTIONS: Mapping[str, type] = get_type_hints(Settings)
"""The dataclass of every section, by the section's name."""


def _declared() -> Iterator[Setting]:
    for section, declared in SECTIONS.items():
        yield from settings_of(section, declared)


ALL: Mapping[str, Setting] = {one.path: one for one in _declared()}
"""Every setting by its path, in the order of the sections and of their fields."""
