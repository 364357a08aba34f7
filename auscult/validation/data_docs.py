"""Great Expectations' own pages of the manifest, in ``reports/data-docs/``; not an output of the pipeline.

``auscult data docs`` writes them. They load styles and scripts from public hosts; offline they are
readable but plain.
"""

from __future__ import annotations

import logging
from pathlib import Path

from auscult.core import params as parameters
from auscult.core.paths import Paths
from auscult.core.storage import read_table, replacing_folder
from auscult.datasets import load
from auscult.validation.expectations import ROW_NAMES, definition, ephemeral_context, suites, tables_to_check

logger = logging.getLogger(__name__)

TARGET = Path("reports/data-docs")


def write_data_docs() -> None:
    """Run all expectations on the current manifest and write the pages; log where the first page is.

    Raises
    ------
    DataError
        There is no manifest.
    """
    params = parameters.load()
    dataset, paths = load(params.dataset), Paths(params.dataset)
    recordings = read_table(paths.manifest / "recordings.parquet")
    tables = tables_to_check(recordings, read_table(paths.manifest / "segments.parquet"))

    import great_expectations  # takes three seconds: only after the manifest was found

    context = ephemeral_context()
    with replacing_folder(TARGET) as folder:
        site = {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,  # no links to tutorials
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())},
        }
        for existing in context.get_site_names():
            context.delete_data_docs_site(existing)
        context.add_data_docs_site("manifest", site)
        for name, expectations in suites(dataset, params.validate_).items():
            checkpoint = great_expectations.Checkpoint(
                name=name,
                validation_definitions=[definition(context, name, expectations)],
                result_format={"result_format": "SUMMARY", "unexpected_index_column_names": [ROW_NAMES[name]]},
            )
            context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": tables[name]})
        context.build_data_docs(site_names=["manifest"])
    logger.info("%s/index.html (styles load from public hosts; offline the pages are plain)", TARGET)
