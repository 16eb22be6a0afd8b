"""Writes the generated parts of the documentation: the tables of models. Run it after adding a recipe.

python docs/tables.py          rewrites them
python docs/tables.py --check  exits 1 if one is out of date
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from pushforward.registry import TAXONOMY, recipe, recipe_names

ROOT = Path(__file__).parent.parent


def model_table(link: str) -> str:
    """A row for each recipe, by kind of likelihood."""
    rows = sorted((recipe(name) for name in recipe_names()), key=lambda r: (TAXONOMY.index(r.likelihood), r.name))
    lines = ["| model | likelihood | what it is good for |", "|---|---|---|"]
    lines += [f"| [`{r.name}`]({link}{r.name}.md) | {r.likelihood} | {r.summary} |" for r in rows]
    return "\n".join(lines)


def faults_table() -> str:
    """Of the study planted-faults: a table a data set, metrics down, faults across."""
    path = ROOT / "results/planted-faults.json"
    if not path.is_file():
        return ""
    document = json.loads(path.read_text(encoding="utf-8"))
    parts = []
    for name, found in document["flags"].items():
        metrics = [m for m in document["metrics"][name] if any(m in flags for flags in found.values())]
        rate = document["reference"][f"{name}: {len(document['seeds'])} perfect samplers"]["caught"]
        parts += [
            f"**{name}** (perfect samplers accused: {rate:.0%} of {len(document['seeds'])})",
            "",
            f"| metric | {' | '.join(found)} |",
            "|---|" + ":-:|" * len(found),
            *(f"| {m} | {' | '.join('x' if m in flags else '' for flags in found.values())} |" for m in metrics),
            f"| **caught** | {' | '.join('yes' if flags else '**no**' for flags in found.values())} |",
            "",
        ]
    return "\n".join(parts)


def generated() -> dict[Path, str]:
    """Each file with its generated parts renewed."""
    page = ROOT / "docs/evaluation.md"
    faults = f"<!-- faults:begin -->\n{faults_table()}\n<!-- faults:end -->"
    text = page.read_text(encoding="utf-8")
    out = {page: re.sub(r"<!-- faults:begin -->.*?<!-- faults:end -->", lambda m: faults, text, flags=re.DOTALL)}
    for path, link in ((ROOT / "README.md", "docs/models/"), (ROOT / "docs/models/index.md", "")):
        block = f"<!-- models:begin -->\n{model_table(link)}\n<!-- models:end -->"
        text = path.read_text(encoding="utf-8")
        out[path] = re.sub(r"<!-- models:begin -->.*?<!-- models:end -->", lambda m: block, text, flags=re.DOTALL)  # noqa: B023
    return out


def main() -> None:
    stale = [path for path, text in generated().items() if path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: python docs/tables.py")
        sys.exit(bool(stale))
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
