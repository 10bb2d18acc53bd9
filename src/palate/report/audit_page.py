"""An audit as one page that needs no network, no script and no second file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from palate.data.audit import Audit
from palate.report.rendering import page_environment, page_policy
from palate.report.wording import number, percent, plural, visible

__all__ = ["FindingView", "finding_views", "render_audit_page"]

_SEVERITIES = ("error", "warning", "info")
_MAX_QUOTED = 400
_SHOWN_FIGURES = 12
_WIDTH, _HEIGHT = 560.0, 130.0


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding as the page shows it. `examples` are rows of name and text, their place first."""

    check: str
    severity: str
    count: int
    num_kept: int
    meaning: str
    remedy: str
    examples: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    figures: tuple[tuple[str, str], ...]
    histogram: Histogram | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars of a drawing that is 560 wide and 130 high; those left of `zero` are differences below 0."""

    bars: tuple[tuple[float, float, float, float, bool], ...]
    """x, y, width, height, and whether the bin lies above 0."""
    zero: float
    lowest: str
    highest: str


def render_audit_page(audit: Audit | Mapping[str, Any]) -> str:
    """The page of an audit, or of one as its `as_dict` wrote it into audit.json.

    Whatever comes from the data is escaped; only our own style is not.
    """
    said = audit.as_dict() if isinstance(audit, Audit) else dict(audit)
    rooms = files("palate.report")
    css = (rooms / "report.css").read_text(encoding="utf-8")
    css += (rooms / "audit.css").read_text(encoding="utf-8")
    template = page_environment().from_string((rooms / "audit.html").read_text(encoding="utf-8"))
    found = finding_views(said)
    return template.render(
        css=Markup(css),
        policy=page_policy(css),
        name=said["sources"][0],
        audit=said,
        findings=found,
        headline=_headline(found),
        counts=[(s, sum(view.severity == s for view in found)) for s in _SEVERITIES],
        accounts=_accounts(said),
    )


def finding_views(audit: Mapping[str, Any]) -> list[FindingView]:
    """The findings of an audit's dictionary, errors first."""
    views = [_view(found) for found in audit["findings"]]
    return sorted(views, key=lambda view: _SEVERITIES.index(view.severity))


def _headline(found: list[FindingView]) -> str:
    numbers = {s: sum(view.severity == s for view in found) for s in _SEVERITIES}
    if numbers["error"]:
        return f"{plural(numbers['error'], 'error')} in these data"
    if numbers["warning"]:
        return f"No errors, {plural(numbers['warning'], 'warning')}"
    return "Nothing wrong was found"


def _accounts(said: Mapping[str, Any]) -> list[tuple[str, int, int, int]]:
    """Source, rows in, kept, set aside."""
    rows = [(said["sources"][0], said["num_rows"], said["num_kept"], said["num_set_aside"])]
    if held_out := said.get("against"):
        rows.append(
            (held_out["source"], held_out["num_rows"], held_out["num_kept"], held_out["num_set_aside"])
        )
    return rows


def _view(found: Mapping[str, Any]) -> FindingView:
    figures = found.get("figures", {})
    plain = [(name.replace("_", " "), _figure(value)) for name, value in figures.items()]
    return FindingView(
        check=found["check"],
        severity=found["severity"],
        count=found["count"],
        num_kept=found.get("num_kept", 0),
        meaning=found["meaning"],
        remedy=found["remedy"],
        examples=tuple(_example(example) for example in found["examples"]),
        figures=tuple((name, value) for name, value in plain if value)[:_SHOWN_FIGURES],
        histogram=_histogram(figures.get("histogram")),
    )


def _figure(value: Any) -> str:
    """A figure in words; nothing for tables, which audit.json has."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping) and "share" in value and "of" in value:
        return f"{percent(value['share'])} of {value['of']:,}"
    return value if isinstance(value, str) else ""


def _example(example: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    lines: list[tuple[str, str]] = []
    for name, value in example.items():
        if name == "place":
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Mapping):
                place, inner = _example(one)
                lines.append((name, place))
                lines += inner
            else:
                lines.append((name, visible(str(one))[:_MAX_QUOTED]))
    return str(example.get("place", "")), tuple(lines)


def _histogram(said: Mapping[str, Any] | None) -> Histogram | None:
    """Bars for counts between edges, the tallest as high as the drawing; None without any count."""
    if not said or not any(said["counts"]):
        return None
    edges, counts = said["edges"], said["counts"]
    low, high, tallest = edges[0], edges[-1], max(counts)

    def across(value: float) -> float:
        return round(_WIDTH * (value - low) / (high - low), 2)

    bars = []
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        height = round(_HEIGHT * count / tallest, 2)
        start = across(left)
        width = round(max(1.0, across(right) - start - 1), 2)
        bars.append((start, round(_HEIGHT - height, 2), width, height, left + right > 0))
    return Histogram(
        tuple(bars),
        across(0.0) if low < 0 < high else 0.0,
        f"{low:,.0f}".replace("-", "−"),
        f"+{high:,.0f}",
    )
