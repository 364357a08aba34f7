"""ICBHI 2017: 920 recordings of 126 patients, a label for each breathing cycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from auscult.datasets import Counts, RemoteFile
from auscult.datasets.readers.icbhi_layout import DEMOGRAPHICS, DIAGNOSIS, SPLIT, IcbhiLayout

_SITE = "https://bhichallenge.med.auth.gr"
_FILES = f"{_SITE}/sites/default/files/ICBHI_final_database"

#: The split file names this recording with another device; a join by name would drop its 11 cycles.
MISNAMED = {"226_1b1_Pl_sc_Meditron": "226_1b1_Pl_sc_LittC2SE"}

#: These patients have recordings in both parts of the official split; those in the test part are exempt.
IN_BOTH_PARTS = {patient: f"patient {patient} is in both parts of the official split" for patient in ("156", "218")}


class Icbhi(IcbhiLayout):
    """The database of the challenge at the International Conference on Biomedical and Health Informatics 2017."""

    name = "icbhi"
    title = "ICBHI 2017 Respiratory Sound Database"
    citation = (
        "Rocha, B. M. et al. (2018). A respiratory sound database for the development of automated classification. "
        "In: Precision Medicine Powered by pHealth and Connected Health. IFMBE Proceedings 66, 33-37. "
        "doi:10.1007/978-981-10-7419-6_6"
    )
    licence = "freely available for research"
    homepage = _SITE
    files = (
        RemoteFile(
            name="ICBHI_final_database.zip",
            urls=(
                f"{_FILES}/ICBHI_final_database.zip",
                "https://dataverse.harvard.edu/api/access/datafile/7127117",
            ),
            size_bytes=1_978_998_275,
            md5="f6a5d0ea40bbcd25e17754f9d5ddae48",
        ),
        RemoteFile(name=SPLIT, urls=(f"{_FILES}/{SPLIT}",), size_bytes=27_219, archive=False),
        RemoteFile(name=DIAGNOSIS, urls=(f"{_FILES}/{DIAGNOSIS}",), archive=False),
        RemoteFile(name=DEMOGRAPHICS, urls=(f"{_FILES}/{DEMOGRAPHICS}",), archive=False),
    )
    expected = Counts(recordings=920, patients=126, segments=6898)
    limits: ClassVar[tuple[str, ...]] = (
        "The device reveals the diagnosis (all recordings of two of the four devices are COPD, all healthy ones are of"
        " a third), and so does age: compare metrics of diagnoses with the metadata-only baseline.",
        "Half of the single-channel recordings were made at 4 kHz: frequencies above 2 kHz reveal the device.",
        "The published split file names one recording with another device; this is corrected.",
        "Two patients are in both parts of the published split; their test recordings are exempt.",
        "The published test part contains no asthma, LRTI or pneumonia.",
    )
    split_names: ClassVar[Mapping[str, str]] = MISNAMED
    exempt_test_patients: ClassVar[Mapping[str, str]] = IN_BOTH_PARTS


DATASET = Icbhi()
