"""Print the oldest versions that the requirements allow, as pins for pip: `python tools/oldest.py > oldest.txt`."""

from __future__ import annotations

import re
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"


def pins(text: str) -> list[str]:
    """The lower bounds of requirements as pins: "torch>=2.4,<3" -> "torch==2.4.*"."""
    return [re.sub(r">=([\d.]+).*", r"==\1.*", line) for line in text.splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    print("\n".join(pins(REQUIREMENTS.read_text(encoding="utf-8"))))
