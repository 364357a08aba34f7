"""Great Expectations' own pages of the last validation, in ``reports/data-docs/``; not an output of the pipeline.

Run ``python -m auscult.validation.data_docs`` (or ``make data-docs``). The pages load their
styles and scripts from public hosts: offline they are readable but plain.
"""

from __future__ import annotations

from pathlib import Path

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.process import run
from auscult.core.storage import read_table, replacing_folder
from auscult.datasets import load
from auscult.validation.expectations import ROW_NAMES, checked_recordings, checked_segments, definition, suites

TARGET = Path("reports/data-docs")


def main() -> None:
    """Check the manifest as it is again, and let Great Expectations write about it."""
    everything = parameters.load()
    dataset, paths = load(everything.dataset), Paths(everything.dataset)
    recordings = read_table(paths.manifest / "recordings.parquet")
    segments = read_table(paths.manifest / "segments.parquet")
    tables = {"recordings": checked_recordings(recordings), "segments": checked_segments(segments, recordings)}
    with replacing_folder(TARGET) as folder:
        import great_expectations

        from auscult.validation.expectations import ephemeral_context

        context = ephemeral_context()
        site = {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())},
        }
        for existing in context.get_site_names():
            context.delete_data_docs_site(existing)
        context.add_data_docs_site("manifest", site)
        for name, expectations in suites(dataset, everything.validate_).items():
            checkpoint = great_expectations.Checkpoint(
                name=name,
                validation_definitions=[definition(context, name, expectations)],
                result_format={"result_format": "SUMMARY", "unexpected_index_column_names": [ROW_NAMES[name]]},
            )
            context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": tables[name]})
        context.build_data_docs(site_names=["manifest"])
    print(f"data-docs: {TARGET / 'index.html'} (its styles load from public hosts; offline it is plain)", flush=True)


if __name__ == "__main__":
    run(main)
