"""Commands on data sets: add, compare, trace, correct, withdraw, purge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from auscult.cli.models import outcome, run_flow
from auscult.cli.project import need_project, working

app = typer.Typer(
    help="Versions of a data set: add, diff, template, hard-examples, correct, lineage, withdraw, purge.",
    no_args_is_help=True,
)
Dataset = Annotated[str | None, typer.Option(help="Data set; by default the one in params.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="In a layout of the data set, or with recordings.csv.")],
    dry_run: DryRun = False,
    dataset: Dataset = None,
    as_json: AsJson = False,
) -> None:
    """Add the recordings of a delivery to a data set: exit code 2 if nothing can be added.

    With --json: schema, dataset, dry_run, batches, accepted and present (names), rejected (recording_id, reason,
    detail), parts (by patient), new_patients, look_alikes (groups of patient ids).

    Example: auscult data add ~/delivery --dry-run
    """
    need_project()
    from auscult.curation.additions import add_all

    with working("Examining the delivery"):
        added = add_all(dataset, folder, dry_run=dry_run)
    if as_json:
        print(json.dumps(added.to_json(), indent=1))
    added.check()
    if not as_json:
        print(added)


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
    from auscult.curation.diff import formats
    from auscult.curation.diff.difference import diff

    found = diff(before, after, Path.cwd())
    if as_json:
        print(json.dumps(found.to_json(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
    else:
        print(formats.markdown(found) if as_markdown else formats.text(found))
    if not found.same:
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
    from auscult.curation.additions.adding import template

    print(template(folder, dataset))


@app.command()
def lineage(
    what: Annotated[
        str,
        typer.Argument(help="EXPERIMENT[:VERSION], champion, a version of the data, or a branch, tag or commit."),
    ],
    as_json: AsJson = False,
) -> None:
    """Trace which data made which model: exit code 1 if MLflow and DVC disagree.

    Example: auscult data lineage champion
    """
    need_project()
    from auscult.curation.lineage import formats
    from auscult.curation.lineage.lineage import trace

    with working("Reading the history"):
        traced = trace(Path(), what)
    if as_json:
        print(json.dumps(formats.to_json(traced), indent=1, ensure_ascii=False))
    else:
        print(formats.text(traced))
    if traced.disagreements:
        raise typer.Exit(1)


@app.command()
def correct(
    item: Annotated[str, typer.Argument(help="A recording, or a segment such as 101_1b1_Al_sc_Meditron:003.")],
    label: Annotated[str, typer.Argument(help="Its right label, as the data set names it, or: drop.")],
    because: Annotated[str, typer.Option(metavar="TEXT", help="Why.")],
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who; by default git's user.name.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Correct the label of a recording or a segment, or leave it out, from the next run on.

    With --json: schema, dataset, correction (item, old, new, by, because, on), part (of the patient), dry_run.

    Example: auscult data correct 101_1b1_Al_sc_Meditron:003 normal --because "friction, no crackle"
    """
    need_project()
    from auscult.curation.corrections import correct

    found = correct(item, label, because, by, dry_run=dry_run)
    print(json.dumps(found.to_json(), indent=1, ensure_ascii=False) if as_json else found)


@app.command("hard-examples")
def hard_examples(
    experiment: Annotated[str, typer.Argument(help="An experiment or a combination of params.yaml.")],
    count: Annotated[int, typer.Option(min=1, max=1000, help="Units on the page.")] = 50,
    by: Annotated[
        Literal["loss", "margin"], typer.Option(help="Hardest by loss, or suspected by confident learning.")
    ] = "loss",
    dataset: Dataset = None,
) -> None:
    """Write a page of the recordings or segments that a model finds hardest, with picture and sound.

    Example: auscult data hard-examples abnormal_logmel_cnn2d --by margin
    """
    need_project()
    from auscult.core import params as parameters
    from auscult.core.paths import Paths
    from auscult.reporting.hard_examples import write_hard_examples

    params = parameters.load()
    paths = Paths(dataset or params.dataset)
    with working("Drawing"):
        written = write_hard_examples(paths, experiment, params.evaluated, count, by)
    print(written)


@app.command()
def withdraw(
    patient: Annotated[str, typer.Argument(help="Patient id, as in the names of the recordings.")],
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Such as 2026-11-25; by default today.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Record that a patient has withdrawn consent: everything made from now on is without them.

    With --json: schema, dataset, patient, since, dry_run, recordings, segments and additions (numbers), parts, models
    (experiments), registered (experiment, version, champion), look_alikes (patient ids).

    Example: auscult data withdraw 226 --dry-run
    """
    need_project()
    from auscult.curation.withdrawals.withdraw import withdraw

    found = withdraw(patient, since, dry_run=dry_run)
    print(json.dumps(found.to_json(), indent=1) if as_json else found)


@app.command()
def purge(
    dry_run: DryRun = False,
    remote: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one of DVC's remotes; by default all.")
    ] = None,
    retire: Annotated[
        bool, typer.Option("--retire", help="Also remove models in service, even if nothing replaces them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what versions, caches, remotes and MLflow still hold of withdrawn patients: exit code 2 if some is left.

    With --json: schema, dataset, dry_run, patients (number), files (what, paths, bytes), mlflow (versions, runs,
    models), stores (name, objects, runs), commits, unknown_commits, branches, problems, left_to_user.

    Example: auscult data purge --dry-run
    """
    need_project()
    from auscult.curation.withdrawals.purge import purge

    plan = purge(dry_run=dry_run, remote=remote, retire=retire, tell=(lambda _: None) if as_json else print)
    if as_json:
        print(json.dumps(plan.to_json(), indent=1))
    plan.check()
    if not as_json and not dry_run:
        print("Done. What a purge cannot reach: docs/withdrawals.md")


@app.command()
def ingest(
    folder: Annotated[str | None, typer.Option(help="By default data/inbox/<dataset>.")] = None,
) -> None:
    """Add new recordings of a watched folder on the branch `ingest`, as the scheduled flow does.

    Example: auscult data ingest --folder ~/delivery
    """
    need_project()
    print(outcome(run_flow("ingest", folder)))


@app.command()
def docs() -> None:
    """Write Great Expectations' own pages of the last validation to reports/data-docs/.

    Example: auscult data docs
    """
    need_project()
    from auscult.validation.data_docs import write_data_docs

    write_data_docs()
