"""How the benches' figures are shown to people, and written for programs that compare runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.bench import Measurement

Measurements = Mapping[str, Measurement]

_HEADINGS = ("name", "value", "unit", "limit", "ratio")


def table(measurements: Measurements) -> str:
    """The figures as a table, one to a line; the last line has no line break."""
    rows = [_HEADINGS, *(_cells(name, one) for name, one in measurements.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(_line(row, widths) for row in rows)


def as_json(measurements: Measurements) -> dict[str, dict[str, float | str]]:
    """``{name: {value, unit, limit?, ratio?}}``; limit and ratio are there if the bench measured a limit."""
    return {name: dict(_entries(one)) for name, one in measurements.items()}


def figure(value: float) -> str:
    """A number with three significant digits, or all the digits of a larger one, and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    decimals = 0
    while abs(value) * 10**decimals < 100:
        decimals += 1
    return f"{value:.{decimals}f}"


def _entries(one: Measurement) -> Iterator[tuple[str, float | str]]:
    yield "value", float(figure(one.value))
    yield "unit", one.unit
    if one.limit is not None:
        yield "limit", float(figure(one.limit))
    if one.ratio is not None:
        yield "ratio", float(figure(one.ratio))


def _cells(name: str, one: Measurement) -> tuple[str, ...]:
    limit = "" if one.limit is None else figure(one.limit)
    ratio = "" if one.ratio is None else figure(one.ratio)
    return name, figure(one.value), one.unit, limit, ratio


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    name, value, unit, limit, ratio = (
        cell.rjust(width) if heading in {"value", "limit", "ratio"} else cell.ljust(width)
        for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
    )
    return f"{name}  {value} {unit}  {limit}  {ratio}".rstrip()
