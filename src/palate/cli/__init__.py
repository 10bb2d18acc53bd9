"""The command line: parse, call one function of the library, print."""

from palate.cli.app import main

__all__ = ["main"]
