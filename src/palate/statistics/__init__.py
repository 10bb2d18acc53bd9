"""What counts allow to be said: win rates, agreement, rankings. Numbers in, numbers out; no file, no model.

Its modules are imported by name, so that a room that needs one of them does not load all.
"""

__all__: list[str] = []
