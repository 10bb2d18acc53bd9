"""`not_verbatim`, and how a text is found in another."""

from __future__ import annotations

from auditing_rows import finding_of, make_clean_rows, pair
from hypothesis import given
from hypothesis import strategies as st

from palate.data.audit.check import AuditedRecord
from palate.data.audit.verbatim import DocumentIndex, NotVerbatim
from palate.data.spans import find_verbatim, fold
from palate.records import Document, Message, Pair, Provenance

TEXT = (
    "The harbour froze in the winter of that year — nobody could say why.\n\n"
    "“We have seen nothing  like it”, the pilot’s son wrote, and he was never asked again."
)


def document(text, name="d1"):
    return Document(name, text, Provenance("documents.json", 1))


def test_a_span_has_the_characters_of_its_text():
    start, end = find_verbatim('"We have seen nothing like it", the pilot\'s son', TEXT)
    assert TEXT[start:end] == "“We have seen nothing  like it”, the pilot’s son"


def test_case_and_letters_count():
    assert find_verbatim("the harbour froze", TEXT) is None
    assert find_verbatim("The harbour frose", TEXT) is None
    assert find_verbatim("  ", TEXT) is None


@given(st.text("ab \n\t“”\"'’—-…\u200b", max_size=40), st.data())
def test_every_piece_of_a_text_is_found_in_it(text, data):
    start = data.draw(st.integers(0, len(text)))
    piece = text[start : data.draw(st.integers(start, len(text)))]
    found = find_verbatim(piece, text)
    if not fold(piece):
        assert found is None
    else:
        assert found is not None
        assert fold(text[found[0] : found[1]]) == fold(piece)


def test_short_texts_are_looked_for_in_every_document():
    index = DocumentIndex([document("Nothing here.", "a"), document(TEXT, "b")])
    assert index.holding("never asked again.") == 1
    assert index.holding("The harbour froze in the winter of that year - nobody could say why.") == 1
    assert index.holding("The harbour froze in the summer of that year") is None


def test_completions_that_stand_in_no_document(audit_rows):
    rows = make_clean_rows(3)
    rows[0]["chosen"] = "The harbour froze in the winter of that year - nobody could say why."
    rows[1]["chosen"] = "The harbour froze in the winter of that year - nobody could tell why."
    finding = finding_of(audit_rows(rows, documents=[document(TEXT)], near_duplicates=False), "not_verbatim")
    assert (finding.severity, finding.count) == ("error", 2)
    assert [finding.figures[name] for name in ("num_rows", "num_near", "num_unlike")] == [3, 1, 1]
    assert finding.examples[0]["nearest"].endswith("% like a passage of document d1")
    assert finding.examples[1]["nearest"] == "no document shares four words in a row"


def test_excerpts_make_it_silent(audit_rows):
    rows = [pair("Why?", "nobody could say why.", "No."), pair("What?", TEXT, "Nothing.")]
    audit = audit_rows(rows, documents=[document(TEXT)], near_duplicates=False)
    assert "not_verbatim" not in {finding.check for finding in audit.findings}
    assert "not_verbatim" not in audit.not_checked


def test_a_row_that_names_its_document_is_held_against_that_one():
    check = NotVerbatim([document(TEXT, "right"), document("Something else altogether.", "other")])
    said = (Message("assistant", "The harbour froze in the winter of that year"),)
    for number, name in enumerate(("right", "other")):
        origin = Provenance("rows.jsonl", number + 1, {"document": name})
        record = Pair((Message("user", "Why?"),), said, (Message("assistant", "No."),), origin)
        check.see(AuditedRecord(record, "train", number))
    (finding,) = check.findings()
    assert [example["place"] for example in finding.examples] == ["rows.jsonl:2"]
