"""The endpoints for usage and ratings: part of the table of :mod:`signaling.http.api`."""

from __future__ import annotations

from signaling.http import ratings, usage
from signaling.http.endpoint import CSV, JSON, AnyEndpoint, Endpoint
from signaling.http.schemas import Page
from signaling.http.usage_schemas import RatingItem, RatingsQuery, UsageItem, UsageQuery

USAGE: tuple[AnyEndpoint, ...] = (
    Endpoint(
        method="GET",
        path="/v1/usage",
        name="listUsage",
        summary="List the usage of sessions, by start: minutes, modalities, segments, suggested codes.",
        scope="usage",
        handle=usage.list_usage,
        query=UsageQuery,
        status=200,
        result=Page[UsageItem],
        paged=True,
        media_types=(JSON, CSV),
    ),
    Endpoint(
        method="GET",
        path="/v1/ratings",
        name="listRatings",
        summary="List what participants say of sessions, by time: either on technical problems, or the rest.",
        scope="ratings",
        handle=ratings.list_ratings,
        query=RatingsQuery,
        status=200,
        result=Page[RatingItem],
        paged=True,
    ),
)
