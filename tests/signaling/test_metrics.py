"""Metrics count what happens, without naming anyone, and are not for everyone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from config.settings import MetricsSettings
from tests.signaling.door_client import door_client
from tests.signaling.nodes import back_end, running_node, settings, token


def series(text: str) -> dict[str, float]:
    pairs = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


async def test_a_session_leaves_its_traces_and_no_names(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("canary-room", canary_anna="therapist", canary_ben="client")
        await api.session("canary-room", session="canary-session", length_seconds=1)
        async with door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as anna:
            await anna.hello(token("canary_anna", "therapist"))
            await anna.request("session.join", session="canary-session")
            await anna.expect(lambda frame: frame.get("body", {}).get("change") == "no_show")
            await api.get("/v1/rooms/canary-none?x=canary")
            await api.ask("PROPFIND", "/canary")
            scraped = await api.get("/metrics")
    assert scraped.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "canary" not in scraped.text
    found = series(scraped.text)
    assert found["rapport_connections"] == found["rapport_accounts"] == 1
    assert found['rapport_session_changes_total{change="no_show"}'] == 1
    assert found["rapport_deadline_lateness_seconds_count"] == 1
    assert found["rapport_store_up"] == found["rapport_media_workers"] == 1
    assert found["rapport_store_appends_total"] >= 5
    assert found['rapport_http_requests_total{method="POST",route="/v1/rooms",status="201"}'] == 1
    assert found['rapport_http_requests_total{method="other",route="none",status="404"}'] == 1


async def test_with_a_token_only_its_bearer_reads_them(tmp_path: Path) -> None:
    secret = "a-token-for-prometheus"
    given = dataclasses.replace(settings(tmp_path), metrics=MetricsSettings(token=secret))
    async with running_node(given) as node:
        for bearer, status in (("", 403), ("wrong", 403), (secret, 200)):
            async with back_end(node, bearer) as scraper:
                assert (await scraper.get("/metrics")).status == status


async def test_without_a_token_they_do_not_leave_the_machine(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node, "") as scraper:
        assert (await scraper.get("/metrics")).status == 200
        proxied = await scraper.ask("GET", "/metrics", X_Forwarded_For="203.0.113.7")
        assert proxied.refusal == (403, "forbidden")
