"""`pushforward inspect`: what was detected, what looks odd, a page of pictures, and the next command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError
from .common import fresh, refuse_existing
from .options import Source
from .output import Output, command_line, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from ..data import Data
    from ..data.inspection.oddities import Oddity, Profile

SHOWN_COLUMNS, SHOWN_ODDITIES = 60, 40
"""Lines of these on the screen; --json has all."""


def inspect(
    context: typer.Context,
    data: Source,
    condition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="What you will generate by: a label, a column; several with commas."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.png", help="The page of pictures.  [default: DATA-inspect.png]"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page in --out.")] = False,
) -> None:
    """Show what the data are, what looks odd, and draw them on one page.

    Nothing is fitted, and nothing is written besides the page.
    """
    output: Output = context.obj
    if out is not None and out.suffix.lower() != ".png":
        raise InputError(f"cannot write the page as {str(out)!r}.", "It is a .png file.")
    refuse_existing(out, overwrite)

    from ..data.data import load_opened
    from ..data.inspection.overview import of_condition, of_labels

    loaded, found, opened = load_opened(data, condition=condition, **output.data)
    path = out if out is not None else fresh(Path(f"{loaded.name}-inspect.png"))
    kind = _kind(loaded)
    document: dict[str, Any] = {
        "data": loaded.name,
        "source": loaded.source,
        "kind": kind,
        "what": _what(loaded, len(found.x)),
        "sizes": loaded.describe()["sizes"],
        "split": loaded.split["how"],
        "condition": of_condition(loaded),
        "labels": of_labels(opened) if kind in ("pictures", "vectors", "arrays") else {},
        "notes": list(loaded.notes),
        "oddities": [],
    }
    describe = {"table": _table, "pictures": _pictures, "text": _tokens, "sequences": _tokens, "arrays": _arrays}
    document |= describe.get(kind, _vectors)(loaded, found.x, opened, path)
    document["oddities"] += _of_classes(document["condition"])
    if output.data.get("split_by") or output.data.get("split_time"):
        document["oddities"] = [o for o in document["oddities"] if o["kind"] != "order"]
    if any(o["kind"] == "order" for o in document["oddities"]):  # said once
        document["notes"] = [note for note in document["notes"] if not note.startswith("rows are in the order of ")]
    document |= _next(loaded, data, condition, output.data)
    document["page"] = path
    output.result(document, lambda: _show(document))


# ------------------------------------------------------------------------------------------------ what there is


def _kind(data: Data) -> str:
    from ..spaces import Pixels, Real, Tokens

    space = data.space
    if isinstance(space, Pixels):
        return "pictures"
    if isinstance(space, Tokens):
        return "text" if space.is_text else "sequences"
    if isinstance(space, Real):
        return "vectors" if len(space.shape) == 1 else "arrays"
    return space.kind


def _what(data: Data, rows: int) -> str:
    if data.space.kind == "table":
        return f"a table of {rows:,} rows; {data.space.describe().removeprefix('tables of ')}"
    return data.space.describe()


def _table(data: Data, x: np.ndarray, opened: Any, path: Path) -> dict[str, Any]:
    from ..bijections.dependencies import find_dependencies
    from ..data.inspection.histograms import histogram_page
    from ..data.inspection.oddities import find_oddities, profiles, some_rows
    from ..data.inspection.overview import of_columns, of_dropped
    from ..data.tables.columns import Dropped

    columns = data.space.columns  # type: ignore[attr-defined]
    asked = (Dropped(name, "drop", "as asked") for name, kind in opened.options.columns.items() if kind == "drop")
    dropped = [*opened.found.dropped, *asked]
    seen = profiles(x, columns)
    odd = find_oddities(x, columns, dropped=dropped, rules=find_dependencies, seen=seen)
    counted = len(some_rows(len(x), x.shape[1]))
    parents = {o.column: o.other for o in odd if o.kind == "function"}
    facts = of_columns(seen, x)
    for p, fact in zip(seen, facts):
        parent = parents.get(p.column.name)
        fact["in_the_model"] = f"looked up in {parent}" if parent else _in_the_model(p)
    remark = "" if counted == len(x) else f"numbers: {counted:,} rows drawn at random"
    title = f"{data.name}: {len(x):,} rows, {len(seen)} columns"
    left_out = histogram_page(seen, path, title=title, remark=remark)
    return {
        "columns": facts,
        "dropped": of_dropped(dropped, opened.columns),
        "counted_rows": counted,
        "oddities": [_plain(o) for o in odd],
        "columns_not_drawn": left_out,
    }


def _in_the_model(p: Profile) -> str:
    """What a model of tables makes of a column."""
    import numpy as np

    from ..bijections.marginals import fit_marginal

    column = p.column
    if column.kind == "constant" or len(p.values) < 2:
        says = "repeated as it is"
    elif not column.is_number:
        says = f"a probability for each of {len(column.categories):,}{' in order' if column.kind == 'ordinal' else ''}"
    else:
        made = fit_marginal(np.repeat(p.values, p.counts), column.step, "standardize")  # its atoms are wanted alone
        atoms = len(made.atoms)
        which = p.shown(made.atoms[0]) if atoms == 1 else f"{atoms} values"
        if column.step is None:
            says = f"a density{f', and atoms: {which}' if atoms else ''}"
        elif atoms == len(p.values):
            says = f"a probability for each of {atoms} values"
        else:
            says = f"a probability for each multiple{f', {which} learned apart' if atoms else ''}"
    return says + (", and for missing" if column.missing and p.missing < 1 else "")


def _pictures(data: Data, x: np.ndarray, opened: Any, path: Path) -> dict[str, Any]:
    from ..data.inspection.overview import of_pictures
    from ..data.inspection.preview import preview_sheet

    preview_sheet(data, path)
    return {"pictures": of_pictures(data.space)}  # type: ignore[arg-type]


def _tokens(data: Data, x: np.ndarray, opened: Any, path: Path) -> dict[str, Any]:
    from ..data.inspection.histograms import histogram_page
    from ..data.inspection.overview import of_tokens

    facts, seen = of_tokens(x, data.space)  # type: ignore[arg-type]
    title = f"{data.name}: {facts['tokens']:,} tokens"
    histogram_page([seen], path, title=title, remark="␣ is a space, ⏎ the end of a line", bars=40)
    return {"tokens": facts}


def _vectors(data: Data, x: np.ndarray, opened: Any, path: Path) -> dict[str, Any]:
    import torch

    from ..data.inspection.histograms import histogram_page
    from ..data.inspection.oddities import find_oddities
    from ..data.inspection.overview import of_columns, of_vectors
    from ..data.pictures import density_plot

    values, seen = of_vectors(x, data.space)  # type: ignore[arg-type]
    names = [p.column.name for p in seen]
    if len(seen) == 2 and len(values) > 1:
        order = [1, 0] if data.space.kind == "sphere" else [0, 1]  # longitude to the right
        points, axes = torch.from_numpy(values[:, order]), [names[j] for j in order]
        _draw(path, lambda: density_plot(path, data=points, names=axes))
        left_out = 0
    else:
        left_out = histogram_page(seen, path, title=f"{data.name}: {len(x):,} rows, {len(seen)} columns")
    odd = find_oddities(values, [p.column for p in seen], seen=seen) if data.space.kind == "real" else []
    return {
        "columns": of_columns(seen, values),
        "counted_rows": len(values),
        "oddities": [_plain(o) for o in odd],
        "columns_not_drawn": left_out,
    }


def _arrays(data: Data, x: np.ndarray, opened: Any, path: Path) -> dict[str, Any]:
    import torch

    from ..data.pictures import image_grid
    from ..data.write import replacing

    grid = image_grid(torch.from_numpy(x[:64].copy()))

    def save() -> None:
        with replacing(path) as beside:
            grid.save(beside)

    _draw(path, save)
    return {"arrays": {"shape": list(data.space.shape), "low": float(x.min()), "high": float(x.max())}}


def _draw(path: Path, draw: Callable[[], None]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}.") from None


def _of_classes(condition: Mapping[str, Any] | None) -> list[dict[str, str]]:
    if condition is None or "classes" not in condition:
        return []
    import numpy as np

    from ..data.inspection.odd_columns import of_classes

    classes = condition["classes"]
    found = of_classes(np.array(list(classes.values())), list(classes), condition["name"])
    return [_plain(o) for o in found]


def _plain(o: Oddity) -> dict[str, str]:
    from dataclasses import asdict

    return asdict(o)


# ------------------------------------------------------------------------------------------------ what to do next


def _next(loaded: Data, source: str, condition: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The suggested model, why, and the command that fits it; why not, where there is none."""
    from ..training import choose_model

    words = [source, *(["--condition", condition] if condition else []), *flags(options)]
    try:
        name, why = choose_model(loaded)
    except InputError as error:
        return {"model": None, "why": str(error), "next": []}
    return {"model": name, "why": why, "next": [command_line("fit", *words, "--model", name)]}


def flags(options: Mapping[str, Any]) -> list[str]:
    """Options of a source, as `pf.load` takes them, as words of the command line."""
    words: list[str] = []
    for name, value in options.items():
        if name == "missing":
            words += [] if value else ["--no-missing"]
        elif value is True:
            words.append(f"--{name.replace('_', '-')}")
        else:
            text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return words


# ------------------------------------------------------------------------------------------------ on the screen


def _show(document: Mapping[str, Any]) -> None:
    sizes = document["sizes"]
    print(f"{document['source']}: {document['what']}")
    parts = ", ".join(f"{count:,} {name}" for name, count in sizes.items())
    print(f"{sum(sizes.values()):,} examples: {parts} ({document['split']})")
    if condition := document["condition"]:
        print(f"condition {condition['name']}: {_condition(condition)}")
    if "columns" in document:
        _show_columns(document)
    if "pictures" in document:
        p = document["pictures"]
        colours = {1: "grey", 3: "colour", 4: "colour with transparency"}.get(
            p["channels"], f"{p['channels']} channels"
        )
        print(f"each {p['height']} pixels high and {p['width']} wide, {colours}, {p['levels']:,} levels")
    if "arrays" in document:
        print(f"values {document['arrays']['low']:.4g} to {document['arrays']['high']:.4g}")
    _show_labels(document)
    if "tokens" in document:
        _show_tokens(document["tokens"])
    notes = [note for note in document["notes"] if not note.startswith(f"{sum(sizes.values()):,} row")]  # said above
    if notes:
        print("\nNotes:")
        for note in notes:
            print(f"  {note}")
    if "columns" in document or document["oddities"]:
        _show_oddities(document)
    print(f"\nPictures: {document['page']}")
    if document["model"] is None:
        print(f"Model: none: {document['why']}")
        return
    print(f"Model: {document['model']}: {document['why']}")
    print("Next:")
    for command in document["next"]:
        print(f"  {command}")


def _condition(condition: Mapping[str, Any]) -> str:
    from ..data.inspection.overview import classes_in_words

    if "classes" in condition:
        return classes_in_words(condition["classes"])
    return ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in condition.get("ranges", {}).items())


def _show_columns(document: Mapping[str, Any]) -> None:
    from ..data.inspection.oddity import share, shorten

    columns = document["columns"]
    head = ["column", "kind", "values", "missing", "example"]
    with_model = "in_the_model" in columns[0]
    rows = [
        [
            shorten(c["name"], 40), c["kind"], c["values"], share(c["missing_share"]) if c["missing"] else "-",
            shorten(c["example"] or "-", 30), *([c["in_the_model"]] if with_model else []),
        ]
        for c in columns[:SHOWN_COLUMNS]
    ]  # fmt: skip
    print()
    table([*head, *(["in the model"] if with_model else [])], rows)
    if more := len(columns) - SHOWN_COLUMNS:
        print(f"and {more:,} more (--json shows them)") if more > 0 else None
    dropped = document.get("dropped") or []
    if dropped:
        print()
        rows = [[d["name"], d["kind"], d["why"], d["example"] or "-", d["keep"] or "-"] for d in dropped]
        table(["left out", "kind", "why", "example", "to keep it"], rows)


def _show_labels(document: Mapping[str, Any]) -> None:
    from ..data.inspection.overview import classes_in_words

    chosen = (document["condition"] or {}).get("name", "").split(",")
    for name, classes in document["labels"].items():
        if isinstance(classes, str):
            print(f"{name} cannot be the condition: {classes}")
        elif name not in chosen:
            counts = f"{classes:,} different ones" if isinstance(classes, int) else classes_in_words(classes)
            print(f"{name}: {counts} (--condition {name})")


def _show_tokens(facts: Mapping[str, Any]) -> None:
    print(f"{facts['tokens']:,} tokens, {facts['used']:,} of a vocabulary of {facts['vocabulary']:,} used")
    print("most frequent: " + " ".join(f"{name!r}" for name in list(facts["most_frequent"])[:12]))
    print(f"\nThe first windows of {facts['length']} tokens:")
    for window in facts["windows"]:
        print(f"  {window!r}")


def _show_oddities(document: Mapping[str, Any]) -> None:
    odd: Sequence[Mapping[str, str]] = document["oddities"]
    if not odd:
        print("\nNothing looks odd.")
        return
    warnings = sum(o["severity"] == "warning" for o in odd)
    marked = f"{warnings} to look into, marked !; " if warnings else ""
    print(f"\nWhat looks odd ({marked}{len(odd) - warnings} to know):")
    shown = odd[:SHOWN_ODDITIES]
    for o, after in zip(shown, [*shown[1:], {"advice": None}]):
        name = f"{o['column']}: " if o["column"] else ""
        print(f"  {'!' if o['severity'] == 'warning' else '-'} {name}{o['what']}")
        if o["advice"] != after["advice"]:  # once for those in a row that share it
            print(f"      {o['advice']}")
    if len(odd) > SHOWN_ODDITIES:
        print(f"  and {len(odd) - SHOWN_ODDITIES:,} more (--json shows them)")
    rows = sum(document["sizes"].values())
    if document.get("counted_rows", rows) < rows:
        print(f"  Numbers were counted in {document['counted_rows']:,} of {rows:,} rows, drawn at random.")
