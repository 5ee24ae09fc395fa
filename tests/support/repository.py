"""Files of the repository."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(file: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / file).read_text(), flags=re.DOTALL)
