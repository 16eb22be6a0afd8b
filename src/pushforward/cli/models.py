"""`pushforward models`: what there is, by what it knows of likelihoods."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from .complete import complete_model
from .output import Output, table

_MEANING = {
    "exact density": "log p(x) is computed",
    "lower bound": "log p(x) is at least what is computed",
    "estimate": "log p(x) is computed with a stated error",
    "implicit": "samples, and no density",
}


def models(
    context: typer.Context,
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[NAME]", help="One model, with its options.", autocompletion=complete_model),
    ] = None,
) -> None:
    """List the models, or show one's options."""
    from ..registry import TAXONOMY, recipe, recipe_names
    from ..registry import models as describe

    output: Output = context.obj
    if name is not None:
        row = describe(name)[0]
        output.result(row, lambda: _show(row))
        return
    # Recipes alone: the list needs no torch.
    found = [recipe(each) for each in recipe_names()]
    keep = ("name", "title", "likelihood", "summary", "source")
    rows = [{k: getattr(r, k) for k in keep} for kind in TAXONOMY for r in found if r.likelihood == kind]

    def show() -> None:
        for kind in TAXONOMY:
            of_kind = [row for row in rows if row["likelihood"] == kind]
            if of_kind:
                print(f"{kind}: {_MEANING[kind]}")
                table(("", "", ""), [(f"  {row['name']}", row["title"], row["summary"]) for row in of_kind])
                print()
        print("`pushforward models NAME` shows the options of one.")

    output.result(rows, show)


def _show(row: dict[str, Any]) -> None:
    print(f"{row['name']}: {row['title']} ({row['likelihood']})")
    print(row["summary"])
    for source in row["source"]:
        print(f"  {source}")
    print()
    print("Options, each set by --set NAME=VALUE:")
    rows = [(o["name"], _type(o["type"]), _value(o["default"]), o["description"]) for o in row["options"]]
    table(("name", "type", "default", "description"), rows)


def _type(text: str) -> str:
    """`Literal['s', 'm']` as `s | m`, and so on."""
    text = text.replace("NoneType", "none").replace("None", "none").replace("Optional", "")
    while "Literal[" in text:
        start = text.index("Literal[")
        end = text.index("]", start)
        choices = text[start + 8 : end].replace("'", "").replace(", ", " | ")
        text = text[:start] + choices + text[end + 1 :]
    return text


def _value(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
