"""What a run shows: one self-contained page, and the essentials in a terminal."""

from palate.report.page import build_report
from palate.report.terminal import render_comparison, render_summary

__all__ = ["build_report", "render_comparison", "render_summary"]
