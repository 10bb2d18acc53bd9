"""What can be typed is what curation takes: the two lists stand apart only so that help loads no numpy."""

from __future__ import annotations

from dataclasses import fields

from palate.cli.data_curate import _Filters
from palate.data.curation import CurationOptions


def test_every_option_of_the_library_can_be_typed_and_means_the_same_unsaid() -> None:
    typed, taken = ({f.name: f.default for f in fields(options)} for options in (_Filters, CurationOptions))
    assert len(taken) > 10
    assert typed == taken
