"""Whatever a file holds: records, rows set aside, or a clear error; never a traceback, never a lost row.

The quick runs are short; `make test-thorough` repeats them for longer.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from row_files import encode

from palate.data import LAYOUTS, stream_records
from palate.data.files import FORMATS, read_file
from palate.errors import DataError
from palate.recipe import SourceOptions
from palate.records import Labelled, Pair, Ranking, SetAside

SUFFIXES = sorted(suffix.removeprefix(".") for suffix in FORMATS)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(content: bytes, suffix: str, layout: str, *, packed: bool = False, num_rows: int | None = None):
    """Read it as a run would; what comes out has to be one of the three."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows.{suffix}{'.gz' if packed else ''}")
        path.write_bytes(gzip.compress(content, 1) if packed else content)
        try:
            stream = stream_records(SourceOptions(source=str(path), layout=layout))
            items = list(stream)
        except DataError as error:
            assert error.where.startswith(str(path)), error
            assert error.what
            str(error).encode()
            assert num_rows is None or layout == "auto", error
            return
        assert all(isinstance(item, Pair | Labelled | Ranking | SetAside) for item in items)
        assert stream.num_rows == len(items) == sum(1 for _ in read_file(str(path)))
        assert num_rows in (None, len(items))
        for item in items:
            if isinstance(item, SetAside):
                assert item.reason
                item.excerpt.encode()  # it can be printed
                item.reason.encode()


_layouts = st.sampled_from(["auto", *sorted(LAYOUTS)])

# Bytes

_bytes = st.binary(max_size=300) | st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r\n", b"\r", b" ", b"\x00", b"\xef\xbb\xbf",
         b"\xff\xfe", b"\\u", b"\\ud800", b"\\", b"1e999", b"-", b"NaN", b"-Infinity", b"null", b"tru",
         b"\xe2\x80\xa8", b"\xc3", b'"prompt"', b'"chosen"', b"prompt,chosen,rejected\n",
         b"9" * 30, b"PAR1", b"\x1f\x8b"]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


def bytes_of_any_kind(content, suffix, layout, packed):
    check(content, suffix, layout, packed=packed)


# Objects of the right columns with wrong values

_any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**40)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["\x00", "\ud800", "\n\nHuman: a\n\nAssistant: b", "[{'role': 'user'", "True", "0"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "from", "value", "messages", "text", "rank", "answer", "model",
                 "response", "overall_score", "annotations", "Rating", "samples", "post", "x", ""]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)  # fmt: skip
_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "x"]), "content": st.text(max_size=5)}
)
_value = _any | st.lists(_message, max_size=4) | st.lists(_message, max_size=3).map(json.dumps)
_COLUMNS = """
    prompt chosen rejected question system support oppose completion label completions ranks scores
    conversations messages input preferred_output non_preferred_output response_0 response_1 response_j
    response_k better_response_id history human_ref_A human_ref_B labels score_A score_B context response1
    response2 overall_preference info summaries choice instruction output answers kto_tag winner
    conversation_a conversation_b margin weight provenance
"""
_row = st.dictionaries(st.sampled_from(_COLUMNS.split()), _value, max_size=7)
_ours = st.just('{"format": "palate/1", ') | st.just('{"format": "palate/1", "detail": {"origin": [1]}}')
_row_of_ours = st.builds(lambda row, origin: row | {"provenance": origin}, _row, _ours)


def _lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def objects_with_wrong_values(rows, layout, suffix, packed):
    content = _lines(rows) if suffix == "jsonl" else json.dumps(rows).encode()
    check(content, suffix, layout, packed=packed, num_rows=len(rows))


# Whole files with something changed

GOOD = [
    {"prompt": "What is a mill?", "chosen": 'A house, "that"\ngrinds 磨.', "rejected": "Noise; 🌾"},
    {"prompt": "Where?", "chosen": "x" * 90, "rejected": "y"},
] * 3
_changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes) -> bytes:
    for what, share, other in changes:
        at = int(share * len(content))
        match what:
            case "flip":
                content = content[:at] + bytes(b ^ other[0] for b in content[at : at + 1]) + content[at + 1 :]
            case "cut":
                content = content[:at] + content[at + 1 + other[0] :]
            case "insert":
                content = content[:at] + other + content[at:]
            case "repeat":
                content = content[: at + 40] + content[at:]
    return content


def changed_files(changes, suffix, packed, changed_inside):
    content = encode(f"rows.{suffix}", GOOD)
    if changed_inside or not packed:
        check(changed(content, changes), suffix, "strings", packed=packed)
    else:
        # The bytes of the gzip file itself, under the name that says so or not.
        check(changed(gzip.compress(content), changes), suffix, "strings")


_given_bytes = given(_bytes, st.sampled_from(SUFFIXES), _layouts, st.booleans())
_given_rows = given(
    st.lists(_row | _row_of_ours, min_size=1, max_size=6),
    _layouts,
    st.sampled_from(["jsonl", "json"]),
    st.booleans(),
)
_given_changes = given(_changes, st.sampled_from(SUFFIXES), st.booleans(), st.booleans())

test_bytes = QUICK(_given_bytes(bytes_of_any_kind))
test_wrong_values = QUICK(_given_rows(objects_with_wrong_values))
test_changed_files = QUICK(_given_changes(changed_files))
test_bytes_for_longer = pytest.mark.thorough(LONG(_given_bytes(bytes_of_any_kind)))
test_wrong_values_for_longer = pytest.mark.thorough(LONG(_given_rows(objects_with_wrong_values)))
test_changed_files_for_longer = pytest.mark.thorough(LONG(_given_changes(changed_files)))
