"""Commands on data sets: add, compare, trace, withdraw, purge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from auscult.cli.models import run_flow
from auscult.cli.project import need_project, working

app = typer.Typer(help="Versions of a data set: add, diff, template, lineage, withdraw, purge.", no_args_is_help=True)
Dataset = Annotated[str | None, typer.Option(help="Data set; by default the one in params.yaml.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="In a layout of the data set, or with recordings.csv.")],
    dry_run: DryRun = False,
    dataset: Dataset = None,
) -> None:
    """Add the recordings of a delivery to a data set.

    Example: auscult data add ~/delivery --dry-run
    """
    need_project()
    from auscult.curation.additions.adding import add

    with working("Examining the delivery"):
        text = add(folder, dataset, dry_run=dry_run)
    print(text)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="Branch, tag or commit.")],
    after: Annotated[str | None, typer.Argument(help="Another one; by default the outputs in the workspace.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with names.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request: counts, no names.")] = False,
) -> None:
    """Compare two versions of the data: exit code 0 the same, 1 different.

    Example: auscult data diff main
    """
    need_project()
    from auscult.curation.diff.comparing import diff

    form = "json" if as_json else "markdown" if as_markdown else "text"
    text, same = diff(before, after, form)
    print(text)
    if not same:
        raise typer.Exit(1)


@app.command()
def template(
    folder: Annotated[Path, typer.Argument(help="Created if it does not exist.")],
    dataset: Dataset = None,
) -> None:
    """Write the two tables of a delivery, to be filled in: recordings.csv and segments.csv.

    Example: auscult data template ~/delivery
    """
    need_project()
    from auscult.curation.additions.template import template

    print(template(folder, dataset))


@app.command()
def lineage(
    what: Annotated[
        str,
        typer.Argument(help="EXPERIMENT[:VERSION], champion, a version of the data, or a branch, tag or commit."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Trace which data made which model: exit code 1 if MLflow and DVC disagree.

    Example: auscult data lineage champion
    """
    need_project()
    from auscult.curation.lineage import answer, tracing

    with working("Reading the history"):
        traced = tracing.trace(Path(), what)
        text = (
            json.dumps(answer.to_json(Path(), traced), indent=1, ensure_ascii=False)
            if as_json
            else answer.text(Path(), traced)
        )
    print(text)
    if traced.disagreements:
        raise typer.Exit(1)


@app.command()
def withdraw(
    patient: Annotated[str, typer.Argument(help="Patient id, as in the names of the recordings.")],
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Such as 2026-11-25; by default today.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Record that a patient has withdrawn consent: they are left out from now on.

    Example: auscult data withdraw 226 --dry-run
    """
    need_project()
    from auscult.curation.withdrawals.withdraw import withdraw

    print(withdraw(patient, since, dry_run=dry_run))


@app.command()
def purge(
    dry_run: DryRun = False,
    remote: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one of DVC's remotes; by default all.")
    ] = None,
    retire: Annotated[
        bool, typer.Option("--retire", help="Also remove models in service, even if nothing replaces them.")
    ] = False,
) -> None:
    """Remove what versions, caches, remotes and MLflow still hold of withdrawn patients.

    Example: auscult data purge --dry-run
    """
    need_project()
    from auscult.curation.withdrawals.purge import purge

    purge(dry_run=dry_run, remote=remote, retire=retire)


@app.command()
def ingest(
    folder: Annotated[str | None, typer.Option(help="By default data/inbox/<dataset>.")] = None,
) -> None:
    """Add new recordings of a watched folder on the branch `ingest`, as the scheduled flow does.

    Example: auscult data ingest --folder ~/delivery
    """
    need_project()
    print(run_flow("ingest", folder))


@app.command()
def docs() -> None:
    """Write Great Expectations' own pages of the last validation to reports/data-docs/.

    Example: auscult data docs
    """
    need_project()
    from auscult.validation.data_docs import write_data_docs

    write_data_docs()
