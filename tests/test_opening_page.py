"""The tutorial's opening page: its table is its two programs, and its diffs make each program of the last."""

import html
import re
from pathlib import Path

PAGE = (Path(__file__).parent.parent / "docs" / "tutorial" / "eleven_lines.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(?!>>>)(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_table_has_the_lines_of_both_programs() -> None:
    """Eleven rows; in each, the line of that number of the article's program, and that of the layers."""
    rows = re.findall(r"<tr><th>(\d+)</th><td><code>(.*?)</code></td><td><code>(.*?)</code></td>", PAGE)
    by_hand, by_layers = (dict(re.findall(r"^ *(\d+) (.*)$", numbered(code), re.MULTILINE)) for code in PROGRAMS[:2])
    assert list(by_hand) == list(by_layers) == [str(number) for number in range(1, 12)]
    assert [(n, html.unescape(a), html.unescape(b)) for n, a, b in rows] == [
        (n, by_hand[n], by_layers[n]) for n in by_hand
    ]


def numbered(code: str) -> str:
    """Put the number that ends a line in front of it."""
    return re.sub(r"^ *(.*?)  # (\d+)$", r"\2 \1", code, flags=re.MULTILINE)


def test_each_diff_makes_the_next_program() -> None:
    """What is removed stands in the program before, and nothing else changes."""
    versions = [code[code.index("def train") :] for code in PROGRAMS if "def train" in code]
    diffs = re.findall(r"^```diff\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(diffs) == 5
    for before, diff, after in zip(versions[:-1], diffs, versions[1:], strict=True):
        old, new = (re.sub(r"^.", "", "".join(re.findall(rf"^[ {sign}].*\n", diff, re.M)), flags=re.M) for sign in "-+")
        assert before.count(old) == 1
        assert before.replace(old, new) == after
