"""What can be said of the voting pages without a browser: words, keys, colours, and what they may load."""

from __future__ import annotations

import json
import re
from html import unescape
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.annotate.rendering import CONTENT_SECURITY_POLICY, KEYS, STATIC, page_status, render_page
from palate.annotate.wording import LANGUAGES, language_for, words

PAGES = Path(str(files("palate.annotate") / "pages"))
TEMPLATES = sorted(PAGES.glob("*.html"))
SCRIPTS = sorted(PAGES.glob("*.js"))


def test_every_language_has_every_word_with_the_same_gaps() -> None:
    english = words("en")
    for language in LANGUAGES:
        spoken = words(language)
        assert list(spoken) == list(english)
        for name, text in spoken.items():
            assert text.strip() == text != ""
            assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", english[name])), name


def test_chinese_is_not_english_left_standing() -> None:
    for name, text in words("zh").items():
        assert name in ("brand", "elo", "per_minute", "count", "language_tag") or re.search(
            r"[\u4e00-\u9fff]", text
        ), name


def test_words_that_are_said_exist_and_no_other() -> None:
    said = "".join(path.read_text() for path in [*TEMPLATES, *SCRIPTS, PAGES.parent / "rendering.py"])
    names = set(words("en"))
    literal = set(re.findall(r"""(?:say|sayLast)\("(\w+)["]""", said))
    literal |= set(re.findall(r"\bw\.(\w+)", said))
    assert literal - {"replace"} <= names
    # Names put together from parts: `done_${how}`, `w["does_" ~ does]`.
    starts = set(re.findall(r"`(\w+_)\$\{", said)) | set(re.findall(r'w\["(\w+_)"', said))
    quoted = set(re.findall(r'"(\w+)"', said))
    for name in names:
        base = name.removesuffix("_one")
        assert base in literal | quoted or any(base.startswith(start) for start in starts), name


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_no_words_of_their_own(path: Path) -> None:
    text = path.read_text()
    text = re.sub(r"{% block kind %}\w+{% endblock %}|{%.*?%}|{{.*?}}", " ", text, flags=re.DOTALL)
    for attribute in re.findall(r'(?:aria-label|title|placeholder|alt)="([^"]*)"', text):
        assert attribute.strip() == ""
    assert re.sub(r"<[^>]*>|·", " ", text).strip() == ""


def test_no_two_parts_of_the_page_have_the_same_name() -> None:
    """Whoever goes from part to part by ear could not tell which they are in."""
    markup = render_page("vote", "en")
    names = re.findall(r'<(?:section|nav|main)[^>]* aria-label(?:ledby)?="([^"]+)"', markup)
    names += re.findall(r'role="region" aria-label(?:ledby)?="([^"]+)"', markup)
    assert len(names) > 5 and len(names) == len(set(names))


def test_no_key_does_two_things() -> None:
    all_keys = [key for keys in KEYS.values() for key in keys]
    assert len(all_keys) == len(set(all_keys))
    # Reading a long text by keyboard must not vote.
    assert not {"ArrowUp", "ArrowDown", "PageUp", "PageDown", " ", "Enter", "Tab", "Escape"} & set(all_keys)


def test_the_pages_tell_the_keys_that_work() -> None:
    html = render_page("vote", "en")
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    assert json.loads(found[1])["keys"] == {does: list(keys) for does, keys in KEYS.items()}
    told = dict(re.findall(r'data-does="(\w+)" aria-keyshortcuts="([^"]*)"', html))
    assert told == {
        does: " ".join(key.upper() if len(key) == 1 else key for key in keys) for does, keys in KEYS.items()
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["vote", "dashboard", "login", "enter"])
def test_a_page_says_its_language_and_loads_only_what_is_served(name: str, language: str) -> None:
    html = render_page(name, language, "the-csrf-token", store="the-store")  # type: ignore[arg-type]
    assert f'<html lang="{words(language)["language_tag"]}">' in html  # type: ignore[arg-type]
    assert '<meta name="palate-csrf" content="the-csrf-token">' in html
    for address in re.findall(r'(?:src|href|action)="([^"]*)"', html):
        local = unescape(address).split("?")[0]
        assert local in ("", "/", "/dashboard", "/login", "#pair") or local.removeprefix("/static/") in STATIC
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|//[a-z]", html.split("<body")[1])


def test_scripts_load_only_each_other_and_make_no_markup_of_text() -> None:
    for path in SCRIPTS:
        script = path.read_text()
        for name in re.findall(r'from "\./([^"]*)"', script):
            assert name in STATIC
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(|https?://(?!www\.w3\.org)"
            r"|\bimport\(|\.style\b|WebSocket|EventSource|sendBeacon",
            script,
        ), path.name


def test_static_files_are_those_of_the_folder_and_no_wording() -> None:
    assert set(STATIC) == {path.name for path in PAGES.iterdir() if path.suffix in (".css", ".js", ".svg")}
    assert STATIC["vote.js"][0] == "text/javascript; charset=utf-8"
    assert STATIC["page.css"][1] == (PAGES / "page.css").read_bytes()
    assert "url(" not in STATIC["page.css"][1].decode() and "@import" not in STATIC["page.css"][1].decode()


def test_the_policy_forbids_all_but_our_own() -> None:
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"


def test_what_is_let_in_is_said_by_the_status() -> None:
    assert page_status("vote") == page_status("login") == 200
    assert page_status("enter") == page_status("login", "wrong") == 401
    assert page_status("login", "wait") == 429


def test_a_login_that_has_to_wait_says_how_long() -> None:
    assert "Please wait 17 seconds" in render_page("login", "en", problem="wait", wait_seconds=17)
    assert "That is not the password" in render_page("login", "en", problem="wrong")
    assert 'role="alert"' not in render_page("login", "en")


# Colours


def _schemes() -> dict[str, dict[str, str]]:
    css = (PAGES / "page.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root {(.*?)}", css, re.DOTALL)
    )
    return {"light": light, "dark": light | dark}


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_measured_as_the_standard_does() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_edges_stand_out(scheme: str) -> None:
    """Text at least 4.5 to 1; edges of what can be pressed, and the mark of where the keyboard is, 3 to 1."""
    colours = _schemes()[scheme]
    pairs = [(text, ground) for text in ("ink", "text", "muted") for ground in ("paper", "raised", "sunk")]
    pairs += [("accent", "paper"), ("accent", "raised"), ("accent", "sunk"), ("on-accent", "accent")]
    pairs += [
        ("warn", "paper"),
        ("warn", "raised"),
        ("warn", "warn-soft"),
        ("text", "warn-soft"),
        ("text", "accent-soft"),
    ]
    assert {
        pair: ratio for pair in pairs if (ratio := _contrast(*(colours[name] for name in pair))) < 4.5
    } == {}
    edges = [("edge", "paper"), ("edge", "raised"), ("accent", "paper"), ("accent", "line")]
    assert {
        pair: ratio for pair in edges if (ratio := _contrast(*(colours[name] for name in pair))) < 3
    } == {}


def test_sizes_grow_with_the_readers_own() -> None:
    css = (PAGES / "page.css").read_text()
    sizes = re.findall(r"font(?:-size)?: ([^;]*);", css)
    assert sizes and not [size for size in sizes if re.search(r"\dpx", size)]
    assert "prefers-reduced-motion" in css and "prefers-color-scheme: dark" in css


# Which language


@pytest.mark.parametrize(
    ("chosen", "header", "language"),
    [
        (None, None, "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "de,en;q=0.5,zh;q=0.6", "zh"),
        (None, "de, fr;q=0.5", "en"),
        (None, "zh;q=0, en;q=0.1", "en"),
        ("zh", "en", "zh"),
        ("<script>", "zh", "zh"),
        (None, "zh;q=x,;;q=,=", "en"),
    ],
)
def test_the_language_is_the_best_that_is_asked_for(
    chosen: str | None, header: str | None, language: str
) -> None:
    assert language_for(chosen, header) == language


def test_the_default_is_for_whoever_asks_for_nothing_known() -> None:
    assert language_for(None, "de", "zh") == "zh"


@given(st.text(), st.text())
def test_any_header_gives_a_language(chosen: str, header: str) -> None:
    assert language_for(chosen, header) in LANGUAGES
