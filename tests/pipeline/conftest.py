"""The scripted judges and their comparisons are the judging room's."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "judge"))
