"""Matplotlib's SVG, made fit to stand inside a page.

Matplotlib styles every element inline in fixed colours, and names each with an id. Inside one page that would
forbid a strict content policy, break in the dark and give ids twice. Here each style becomes a class of the
page's one style sheet, each stand-in colour a CSS variable, and only ids that something refers to stay, under
the plot's own name.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from html import escape

from markupsafe import Markup

__all__ = ["COLOURS", "StyleSheet", "embed"]

COLOURS = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "accent": "#040404",
    "contrast": "#050505",
    "third": "#060606",
    "fourth": "#070707",
    "paper": "#080808",
}
"""What to draw with: each stands for the CSS variable of its name, which is another colour in the dark."""

OUR_NAMES = ("best-step", "halo")
"""What plots name themselves, for the style sheet and the tests."""

_VARIABLE = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
_LINK = "{http://www.w3.org/1999/xlink}href"
# The page decides the typeface, and matplotlib's rounding and default opacity say nothing.
_DROPPED = re.compile(r"font-family:[^;]*;?\s*|font:\s*([\d.]+px)[^;]*;?")


class StyleSheet:
    """The classes that plots of one page share, in the order in which they were first needed."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}

    def class_for(self, style: str) -> str:
        return self._classes.setdefault(style, f"m{len(self._classes)}")

    @property
    def css(self) -> str:
        return "\n".join(f".{name}{{{style}}}" for style, name in self._classes.items())


def embed(
    svg: str, *, name: str, label: str, styles: StyleSheet, texts: Mapping[str, str] | None = None
) -> Markup:
    """The drawing as an element of a page: `name` prefixes its ids, `label` is what a screen reader says.

    `texts` are put in place of the stand-ins that were drawn for them; they may be anybody's.
    """
    root = ET.fromstring(svg)
    for element in root.iter():
        drawn = (element.text or "").strip()
        element.text = texts.get(drawn, drawn) if texts else element.text
    body = [child for child in root if not child.tag.endswith("}metadata")]
    referred = {found for element in root.iter() for found in _references(element)}
    for child in body:
        for element in child.iter():
            _tidy(element, name, referred, styles)
    box = root.get("viewBox", "")
    head = f'<svg class="plot" viewBox="{escape(box)}" role="img" aria-label="{escape(label)}">'
    # Safe as it stands: every text and attribute is escaped as it is written out.
    return Markup(head + "".join(_serialise(child) for child in body) + "</svg>")


def _references(element: ET.Element) -> list[str]:
    found = re.findall(r"url\(#([^)]+)\)", " ".join(element.attrib.values()))
    link = element.get(_LINK)
    return [*found, link[1:]] if link else found


def _tidy(element: ET.Element, name: str, referred: set[str], styles: StyleSheet) -> None:
    identity = element.attrib.pop("id", None)
    if identity in referred:
        element.set("id", f"{name}-{identity}")
    elif identity in OUR_NAMES:
        element.set("class", identity)
    link = element.attrib.pop(_LINK, None)
    if link:
        element.set("href", f"#{name}-{link[1:]}")
    style = element.attrib.pop("style", None)
    if style:
        element.set("class", styles.class_for(_styled(style)))
    for key, value in element.attrib.items():
        if "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))
        elif key == "d":
            element.set(
                key, " ".join(re.sub(r"\d+\.\d+", lambda found: f"{float(found.group()):.2f}", value).split())
            )


def _styled(style: str) -> str:
    style = _DROPPED.sub(lambda found: f"font-size: {found.group(1)};" if found.group(1) else "", style)
    for colour, variable in _VARIABLE.items():
        style = style.replace(colour, variable)
    return re.sub(r"\s*([:;,])\s*", r"\1", style).strip("; ")


def _serialise(element: ET.Element) -> str:
    """As HTML wants it: no namespaces, no white space between elements, and no style of its own."""
    tag = element.tag.rpartition("}")[2]
    if tag == "style":
        return ""
    inside = escape(element.text.strip()) if element.text and tag == "text" else ""
    inside += "".join(_serialise(child) for child in element)
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in element.attrib.items())
    if tag == "g" and not inside:
        return ""
    return f"<{tag}{attributes}>{inside}</{tag}>"
