"""The page of an audit: complete, escaped, and able to do nothing."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from html_reading import Page

from palate.data.audit import Audit, Finding
from palate.report.audit_page import finding_views, render_audit_page

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">"\'&\x1b[31m\u202e'


def finding(check="length_bias", severity="warning", text="short", **figures):
    example = {"place": f"a.jsonl:{text}", "prompt": text, "with": [{"place": "a.jsonl:9", "chosen": text}]}
    return Finding(check, severity, 1234, (example,), f"meaning {text}", f"remedy {text}", figures, 1234)


def audit(*findings, **more):
    return Audit(
        ("a.jsonl",), 1300, 1234, 66, tuple(findings), {"eos": "a tokenizer"}, "strings", "pairs", **more
    )


def test_it_says_everything():
    page = Page(
        render_audit_page(audit(finding("set_aside", "info"), finding("empty_side", "error"), finding()))
    )
    for words in (
        "1 error in these data",
        "1,300",
        "1,234",
        "66",
        "meaning short",
        "remedy short",
        "a.jsonl:9",
    ):
        assert words in page.text
    assert "eos a tokenizer" in page.text
    assert [entry["id"] for entry in page.all("article")] == ["empty_side", "length_bias", "set_aside"]
    assert not page.unbalanced
    assert not page.open


@pytest.mark.parametrize(
    ("findings", "headline"),
    [
        ((), "Nothing wrong was found"),
        ((finding(),), "No errors, 1 warning"),
        ((finding("set_aside", "info"),), "Nothing wrong was found"),
    ],
)
def test_the_headline_is_the_gravest(findings, headline):
    assert headline in Page(render_audit_page(audit(*findings))).text


def test_nothing_from_the_data_becomes_part_of_the_page():
    clean, evil = (Page(render_audit_page(audit(finding(text=text, note=text)))) for text in ("short", EVIL))
    assert [name for name, _ in evil.elements] == [name for name, _ in clean.elements]
    assert not any(name.startswith("on") for _, attributes in evil.elements for name in attributes)
    assert "<script>alert(1)</script>" in evil.text
    assert "\x1b" not in evil.text
    assert "\u202e" not in evil.text


def test_the_policy_lets_nothing_in_but_its_own_style():
    page = Page(render_audit_page(audit(finding())))
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not page.all("script")
    assert not page.all("link")
    assert "http" not in page.style
    assert not any("style" in attributes for _, attributes in page.elements)


def test_a_histogram_is_drawn_to_scale():
    """Counts 1, 2 and 4: heights a quarter, a half and all of 130."""
    said = audit(finding(histogram={"edges": [-10.0, 0.0, 10.0, 20.0], "counts": [1, 2, 4]}))
    (view,) = finding_views(said.as_dict())
    assert view.histogram is not None
    assert [bar[3] for bar in view.histogram.bars] == [32.5, 65.0, 130.0]
    assert [bar[4] for bar in view.histogram.bars] == [False, True, True]
    assert view.histogram.zero == pytest.approx(560 / 3, abs=0.01)
    assert len(Page(render_audit_page(said)).all("rect")) == 3


def test_a_written_audit_gives_the_same_page():
    made = audit(finding(num=3, share=0.25, flag=True, table={"a": 1}))
    assert render_audit_page(json.loads(json.dumps(made.as_dict()))) == render_audit_page(made)
