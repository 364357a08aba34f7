"""Tables and annotations in ICBHI's layout as people, spreadsheets and pandas write them: read as meant, or refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from auscult.core.digests import patient_key
from auscult.core.errors import DataError
from auscult.core.records import Recording
from auscult.core.withdrawals import Withdrawals
from auscult.datasets import AnnotationError, load
from auscult.datasets.readers.icbhi_layout import AUDIO_FOLDER, DEMOGRAPHICS, DIAGNOSIS, SPLIT
from auscult.datasets.readers.text_tables import number
from auscult.datasets.retrieval.withdrawn_files import leave_out

ICBHI = load("icbhi")
CYCLES = "0.1\t1.5\t0\t0\n1.5\t2.75\t1\t0\n2.75\t4\t0\t1\n"


def put(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A raw folder with a recording of each of three patients (readers open no audio)."""
    for patient in (101, 102, 103):
        put(tmp_path, f"{AUDIO_FOLDER}/{patient}_1b1_Al_sc_Meditron.wav", b"RIFF")
        put(tmp_path, f"{AUDIO_FOLDER}/{patient}_1b1_Al_sc_Meditron.txt", CYCLES)
    put(tmp_path, DIAGNOSIS, "101\tCOPD\n102\tURTI\n103\tHealthy\n")
    return tmp_path


def described(raw: Path) -> list[tuple[float | None, str | None]]:
    return [(recording.age_years, recording.sex) for recording in ICBHI.recordings(raw)]


#: The same three patients: 3.5 years and female, unknown and male, 40 years and unknown.
DEMOGRAPHIC_TABLES = {
    "publisher": "101 3.5 F NA 19 99\n102 NA M NA NA NA\n103 40 NA 25 NA NA\n",
    "decimal commas": "101 3,5 F NA 19,2 99\n102 NA M NA NA NA\n103 40 NA 25,5 NA NA\n",
    "decimal commas and tabs": "101\t3,5\tF\tNA\t19,2\t99\n102\tNA\tM\n103\t40,0\tNA\t25,5\n",
    "decimal commas, quoted": '101,"3,5",F,,"19,2",99\n102,,M,,,\n103,"40,0",,,,\n',
    "semicolons": "101;3,5;F;;19,2;99\n102;;M;;;\n103;40;;;;\n",
    "pandas": "101,3.5,F,,19.2,99.0\n102,,M,,,\n103,40.0,,25.0,,\n",
    "pandas, float ids": "patient,age,sex\n101.0,3.5,F\n102.0,nan,M\n103.0,40.0,<NA>\n",
    "pandas, tabs": "101\t3.5\tF\t\t\t\n102\t\tM\t\t\t\n103\t40.0\t\t\t\t\n",
    "commas and blanks": "101, 3.5, F\n102, NA, M\n103, 40, NA\n",
    "tabs and blanks": "101\t3.5 F\n102 NA\tM\n103 40 NA\n",
    "header, comment, blank lines": "patient age sex\n\n# typed\n101 3.5 F\n \n102 NA M\n103 40 NA\n",
    "Excel's formulas": '="101";3,5;F\n"=""102""";;M\n103;40;\n',
    "words": "101,3.5,Female\n102,N/A,male\n103,40,none\n",
    "no-break spaces": "101\u00a03.5\u00a0F\n102\u00a0NA\u00a0M\u00a0\n103 40 NA\n",
}


@pytest.mark.parametrize("table", DEMOGRAPHIC_TABLES.values(), ids=DEMOGRAPHIC_TABLES)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "byte-order mark"])
def test_ages_and_sexes_are_read_as_meant_and_a_patient_can_withdraw(
    table: str, ends: str, mark: str, raw: Path
) -> None:
    put(raw, DEMOGRAPHICS, mark + table.replace("\n", ends))
    assert described(raw) == [(3.5, "female"), (None, "male"), (40.0, None)]
    assert all(recording.missing == () for recording in ICBHI.recordings(raw))
    for patient in ("101", "102"):
        leave_out(ICBHI, raw, Withdrawals("icbhi", {patient_key("icbhi", patient): "2026-01-31"}))
        assert patient.encode() not in (raw / DEMOGRAPHICS).read_bytes()
    assert described(raw) == [(40.0, None)]


@pytest.mark.parametrize(
    "row",
    [
        "102,3,5,F,25,0,NA",  # unquoted decimal commas
        "102,3,5,F",
        "102 three F",
        "102 2_0 F",
        "102 3.5 W",
        "102 0:02 F",
        "102 3.5",
        "102",
        "mean 20.5 F",
        "102\t3.5\tF\t1\t2\t3\t4",
        "1,102,3.5,F",  # the index of a data frame
        '102,"3.5,F',
    ],
)
def test_a_row_that_cannot_be_read_is_named(row: str, raw: Path) -> None:
    put(raw, DEMOGRAPHICS, f"101 3.5 F\n\n{row}\n103 40 M\n")
    with pytest.raises(DataError) as caught:
        ICBHI.recordings(raw)
    assert caught.value.where == f"{raw / DEMOGRAPHICS}:3"


@pytest.mark.parametrize("row", ["102,COPD,severe", "0,102,COPD", "102"])
def test_a_diagnosis_with_other_columns_is_named(row: str, raw: Path) -> None:
    put(raw, DIAGNOSIS, f"101,COPD\n{row}\n")
    with pytest.raises(DataError) as caught:
        ICBHI.recordings(raw)
    assert caught.value.where == f"{raw / DIAGNOSIS}:2"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_table_from_which_no_line_can_be_cut_is_refused(encoding: str, raw: Path) -> None:
    put(raw, DIAGNOSIS, "101\tCOPD\n102\tDauerhusten (Müller)\n".encode(encoding))
    with pytest.raises(DataError) as caught:
        ICBHI.recordings(raw)
    assert caught.value.where == str(raw / DIAGNOSIS)


@pytest.mark.parametrize(
    "text",
    [
        CYCLES.replace("\n", "\r\n"),
        CYCLES.replace("\n", "\r"),
        "\ufeff" + CYCLES,
        CYCLES.encode("utf-16"),
        CYCLES.replace("\n", " \t\n\n"),
        CYCLES.replace(".", ","),
        CYCLES.replace(".", ",").replace("\t", " "),
        CYCLES.replace(".", ",").replace("\t", ";"),
        CYCLES.replace("\t", ","),
        CYCLES.replace("\t", ", "),
        CYCLES.replace("\t0", "\t0.0").replace("\t1\t", "\t1.0\t"),
        CYCLES.replace("\t", "\u00a0"),
        CYCLES.replace("0.1", "1e-1"),
        CYCLES + "\x1a",
        CYCLES + "\0\0",
        CYCLES.strip(),
    ],
)
def test_an_annotation_is_read_as_meant(text: str | bytes, raw: Path) -> None:
    put(raw, f"{AUDIO_FOLDER}/102_1b1_Al_sc_Meditron.txt", text)
    first, second, _ = ICBHI.recordings(raw)
    assert list(ICBHI.segments(raw, second)) == list(ICBHI.segments(raw, first))


@pytest.mark.parametrize(
    "text",
    [
        CYCLES.replace("2.75", "2_0.0"),
        CYCLES.replace("\t", ",").replace("1.5", "1,5"),
        "start\tend\tcrackles\twheezes\n" + CYCLES,
        "".join(f"{index}\t{line}\n" for index, line in enumerate(CYCLES.splitlines())),
    ],
)
def test_an_annotation_that_cannot_be_read_is_an_error(text: str, raw: Path) -> None:
    put(raw, f"{AUDIO_FOLDER}/102_1b1_Al_sc_Meditron.txt", text)
    with pytest.raises(AnnotationError, match=r"102_1b1_Al_sc_Meditron\.txt, line [12]: "):
        ICBHI.segments(raw, ICBHI.recordings(raw)[1])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_every_unicode_form_belong_together(
    form: str, raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, name = raw / AUDIO_FOLDER, "104_1b1_Al_sc_Gerät"
    put(folder, f"{unicodedata.normalize(form, name)}.wav", b"RIFF")
    put(folder, f"{unicodedata.normalize('NFD', name)} .txt", CYCLES)
    put(raw, DIAGNOSIS, "104\tCOPD\n")
    put(raw, SPLIT, f"{unicodedata.normalize('NFD', name)}\ttest\n")

    def found(raw: Path) -> Recording:
        (recording,) = (each for each in ICBHI.recordings(raw) if each.patient_id == "104")
        assert (recording.recording_id, recording.device) == (name, "Gerät")
        assert recording.published_part == "test" and len(ICBHI.segments(raw, recording)) == 3
        return recording

    found(raw)  # of an older version
    copy = tmp_path_factory.mktemp("copy")
    for target, file in ICBHI.layout(raw).items():
        put(copy, target, file.read_bytes())
    assert found(copy).path == f"{AUDIO_FOLDER}/{name}.wav"
    assert leave_out(ICBHI, copy, Withdrawals("icbhi", {patient_key("icbhi", "104"): "2026-01-31"}))
    assert not list(copy.rglob("104*"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("0,5", 0.5), ("1e-3", 0.001), (".5", 0.5), ("5.", 5.0), ("-0", 0.0), ("1,234,5", None), ("1.234,5", None)]
    + [(text, None) for text in ("", "nan", "inf", "1e999", "2_0", "１２", "0x10", "1 000", "--1")],
)
def test_only_plain_numbers_are_numbers(text: str, value: float | None) -> None:
    assert number(text, decimal_comma=True) == value
    assert number(text, decimal_comma=False) == (None if "," in text else value)
