"""`pushforward reproduce`: run a named study and write its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .complete import complete_study
from .output import Output, table


def reproduce(
    context: typer.Context,
    study: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[STUDY]", help="A study; without one they are listed.", autocompletion=complete_study),
    ] = None,
    seeds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="Seeds 0 to N-1.  [default: the study's]"),
    ] = None,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="The file that a study of outside data needs."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the numbers go.")] = Path("results"),
) -> None:
    """Run a study, or list the studies.

    Data, models, seeds and targets are fixed; the numbers go to results/STUDY.json and results/README.md. Exits with
    1 when a target is missed.
    """
    from ..studies.catalogue import study as find
    from ..studies.catalogue import study_names

    output: Output = context.obj
    if study is None:
        studies = [find(name) for name in study_names()]
        rows = [
            {"name": s.name, "title": s.title, "data": s.needs or s.data, "models": [m.model for m in s.models]}
            for s in studies
        ]
        output.result(rows, lambda: table(("study", "what"), [(s.name, s.title) for s in studies]))
        return
    found = find(study)
    from ..studies.runner import run_study, summary_rows

    document = run_study(found, seeds=seeds, folder=out, data_file=data, log=output.log)

    def show() -> None:
        columns, rows = summary_rows(document)
        table(columns, rows, title=found.title)
        print(f"{out / (found.name + '.json')}; table: {out / 'README.md'}")

    output.result(document, show)
    if not all(m["met"] in (True, None) for m in document["models"]):
        output.log("a target was missed.")
        raise typer.Exit(1)
