"""The layout of audio files with two tables: what is read, and the error for each fault."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from auscult.core.errors import DataError
from auscult.core.records import Recording, Segment
from auscult.datasets import AnnotationError, UnknownLabelError, load, names
from auscult.datasets.readers.delivery_tables import RECORDINGS, SEGMENTS, TablesLayout, owners, reader

GOOD = """file,patient_id,label,device,location,age_years,sex
a.wav,P1,COPD,Meditron,Al,63.5,F
b.wav,P2,URTI,Meditron,Ar,,
"""
CYCLES = "file,start_s,end_s,label\na.wav,2.5,4,crackle\na.wav,0.25,2.5,normal\nb.wav,0,3,wheeze\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Create a folder with the tables and two empty audio files (readers open no audio)."""

    def written(recordings: str | bytes = GOOD, segments: str | bytes | None = CYCLES) -> Path:
        for name, content in ((RECORDINGS, recordings), (SEGMENTS, segments)):
            if content is not None:
                (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        for name in ("a.wav", "b.wav"):
            (tmp_path / name).touch()
        return tmp_path

    return written


def missing(folder: Path) -> dict[str, str]:
    """Return recording to be rejected → errors of its rows."""
    found = TablesLayout(load("sample")).recordings(folder)
    return {each.recording_id: "; ".join(each.missing) for each in found if each.missing}


def test_recordings_and_segments_are_read_in_order_of_time(write: Write) -> None:
    folder = write()
    source = reader(load("sample"), folder)
    a, b = source.recordings(folder)
    assert (a.recording_id, a.patient_id, a.path, a.label, a.device, a.location) == (
        *("a", "P1", "a.wav", "COPD", "Meditron", "Al"),
    )
    assert (a.age_years, a.sex, b.age_years, b.sex) == (63.5, "female", None, None)
    assert list(source.segments(folder, a)) == [Segment(0.25, 2.5, "normal"), Segment(2.5, 4.0, "crackle")]
    assert set(source.layout(folder)) == {RECORDINGS, SEGMENTS, "a.wav", "b.wav"}


def test_a_folder_without_the_tables_is_read_by_the_data_set(tmp_path: Path) -> None:
    assert reader(load("sample"), tmp_path) is load("sample")


@pytest.mark.parametrize("name", names())
def test_every_data_set_accepts_its_own_labels(name: str, write: Write) -> None:
    dataset = load(name)
    label, sound = min(dataset.recording_labels), min(dataset.segment_labels)
    folder = write(
        f"file,patient_id,label,device,location,age_years,sex\na.wav,P1,{label},M,L,4,male\n",
        f"file,start_s,end_s,label\na.wav,0,1,{sound}\n",
    )
    source = reader(dataset, folder)
    (recording,) = source.recordings(folder)
    assert (recording.label, recording.missing) == (label, ())
    assert list(source.segments(folder, recording)) == [Segment(0.0, 1.0, sound)]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda text: b"\xef\xbb\xbf" + text.encode(), id="byte-order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode(), id="Windows line ends"),
        pytest.param(lambda text: text.replace(",", ";").replace(".5", ",5").encode(), id="semicolons"),
        pytest.param(lambda text: text.replace("\n", "\n\n# a note, with a comma\n,,\n").encode(), id="comments"),
        pytest.param(lambda text: text.replace("\n", ",,\n").encode(), id="empty columns at the end"),
        pytest.param(lambda text: text.replace("a.wav", '"a.wav"').encode(), id="quotes"),
        pytest.param(lambda text: text.replace("a.wav", ".\\a.wav").encode(), id="backslashes"),
        pytest.param(lambda text: text.replace("file,", "File , ").encode(), id="capitals and blanks"),
        pytest.param(lambda text: text.encode("utf-16"), id="UTF-16"),
        pytest.param(lambda text: text.replace(",", "\t").replace(".5", ",5").encode("utf-16"), id="tabs and UTF-16"),
        pytest.param(lambda text: f"sep=;\r\n{text.replace(',', ';')}".encode(), id="Excel's line"),
        pytest.param(lambda text: text.replace("\n", "\r").encode(), id="line ends of old Macs"),
        pytest.param(lambda text: text.replace("P1", '="P1"').encode(), id="a formula"),
        pytest.param(lambda text: text.replace("P2", '"=""P2"""').encode(), id="a quoted formula"),
        pytest.param(lambda text: text.replace("a.wav", "a.wav\u00a0").replace("P1", " P1 ").encode(), id="blanks"),
        pytest.param(lambda text: text.replace("63.5", "63.50").replace("2.5", "2.500").encode(), id="pandas"),
    ],
)
def test_formats_of_spreadsheets_are_accepted(changed: Callable[[str], bytes], write: Write) -> None:
    folder = write()
    plain = TablesLayout(load("sample")).excerpt(folder, {"a", "b"})
    write(changed(GOOD), changed(CYCLES))
    assert missing(folder) == {}
    assert TablesLayout(load("sample")).excerpt(folder, {"a", "b"}) == plain


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("a.wav,", "c.wav,", "line 2: there is no file 'c.wav'"),
        ("a.wav,", "A.WAV,", "line 2: there is no file 'A.WAV'; did you mean 'a.wav'?"),
        ("a.wav,", "../a.wav,", "line 2: there is no file '../a.wav'"),
        ("a.wav,", "a.mp3,", "line 2: 'a.mp3' is no .wav or .flac"),
        ("P1,COPD", ",COPD", "line 2: patient_id is empty"),
        ("P1,COPD", "P1,n/a", "line 2: label is empty"),
        ("Meditron,Al", "Meditron,", "line 2: location is empty"),
        ("63.5", "6_3.5", "line 2: age_years '6_3.5' is no age in years"),
        ("63.5", "sixty", "line 2: age_years 'sixty' is no age in years"),
        ("63.5", '"63,5"', "line 2: age_years '63,5' is no age in years: write 63.5"),
        ("63.5", "63,5", "line 2: 8 fields, the header has 7 (a decimal comma? write 0.5, not 0,5)"),
        (",F", ",W", "line 2: sex 'W' is neither female nor male"),
    ],
)
def test_an_invalid_row_rejects_its_recording_and_no_other(good: str, bad: str, expected: str, write: Write) -> None:
    folder = write(GOOD.replace(good, bad, 1))
    found = missing(folder)
    assert expected in "; ".join(found.values())
    assert "b" not in found


def test_a_duplicated_recording_is_rejected(write: Write) -> None:
    assert missing(write(GOOD + "a.wav,P1,COPD,Meditron,Al,63.5,F\n")) == {
        "a": "recordings.csv, line 4: 'a' is in line 2 already"
    }


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("2.5,4,", "0:02,4,", "line 2: start_s '0:02' is no time in seconds"),
        ("2.5,4,", '"2,5",4,', "line 2: start_s '2,5' is no time in seconds: write 2.5"),
        ("2.5,4,", "2,5,4,", "line 2: 5 fields, the header has 4 (a decimal comma"),
        ("2.5,4,", "2.5,inf,", "line 2: end_s 'inf' is no time"),
        ("2.5,4,", "2.5,,", "line 2: end_s is empty"),
        ("2.5,4,", "2.5,1,", "line 2: the segment ends at 1 s, before it begins at 2.5 s"),
        ("a.wav,0.25,2.5,normal", "a.wav,2.5,4,crackle", "line 3: the row is in line 2 already"),
    ],
)
def test_an_invalid_segment_rejects_its_recording_and_names_the_line(
    good: str, bad: str, expected: str, write: Write
) -> None:
    folder = write(segments=CYCLES.replace(good, bad, 1))
    source = TablesLayout(load("sample"))
    a, b = source.recordings(folder)
    with pytest.raises(AnnotationError) as caught:
        source.segments(folder, a)
    assert str(caught.value).startswith(f"{SEGMENTS}, {expected}")
    assert len(source.segments(folder, b)) == 1


def test_an_unknown_label_is_rejected_and_the_known_ones_are_listed(write: Write) -> None:
    folder = write(segments=CYCLES.replace("crackle", "crackles"))
    source = TablesLayout(load("sample"))
    with pytest.raises(
        UnknownLabelError, match=r"line 2: label 'crackles' is unknown; there are: both, crackle, normal"
    ):
        source.segments(folder, source.recordings(folder)[0])


def test_a_segment_without_a_recording_is_rejected_by_its_name(write: Write) -> None:
    folder = write(segments=CYCLES + "c.wav,0,1,normal\nc.wav,1,2,normal\n")
    assert missing(folder) == {"c.wav": "segments.csv, line 5: recordings.csv has no recording 'c.wav'"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD.replace("patient_id", "patient"), "line 1: there is no column 'patient'; there are: file, patient_id"),
        (
            GOOD.replace(",patient_id", "").replace(",P1", "").replace(",P2", ""),
            "line 1: the column 'patient_id' is missing",
        ),
        (GOOD.replace(",label", "").replace(",COPD", "").replace(",URTI", ""), "line 1: the column 'label' is missing"),
        (GOOD.replace("age_years", "age"), "Did you mean 'age_years'?"),
        (GOOD.replace("sex", "name"), "line 1: there is no column 'name'"),
        (GOOD.replace("sex", "file"), "line 1: the column 'file' is duplicated"),
        (GOOD.replace("P2", '"P2'), "line 3: the row cannot be read"),
        (GOOD.encode("utf-16-le"), "line 1: the table is not a text file"),
        (GOOD.replace("P2", "Müller").encode("latin-1"), "line 3: the table is not UTF-8"),
        ("", "line 1: there is no header"),
        ("# only a note\n", "line 1: there is no header"),
        (GOOD.splitlines()[0], "line 1: no row follows the header"),
    ],
)
def test_an_invalid_table_is_an_error_that_names_the_line(content: str | bytes, expected: str, write: Write) -> None:
    folder = write(content)
    with pytest.raises(DataError) as caught:
        TablesLayout(load("sample")).layout(folder)
    assert expected in caught.value.what
    assert caught.value.where.startswith(f"{folder / RECORDINGS}:")


def test_segments_without_file_and_recording_are_an_error(write: Write) -> None:
    with pytest.raises(DataError, match="neither recording_id nor file is among the columns"):
        TablesLayout(load("sample")).layout(write(segments="start_s,end_s,label\n0,1,normal\n"))


def test_an_excerpt_contains_only_the_given_recordings(write: Write) -> None:
    folder = write()
    written = TablesLayout(load("sample")).excerpt(folder, {"b"})
    assert written[RECORDINGS].decode().splitlines()[1:] == ["b.wav,P2,b,URTI,Meditron,Ar,,"]
    assert written[SEGMENTS].decode().splitlines()[1:] == ["b,0,3,wheeze"]


def named(folder: Path, on_disk: list[str], in_table: str) -> list[tuple[str, str, str]]:
    """Return id, path and fault of the recordings of a table with one row."""
    for name in on_disk:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name, text in ((RECORDINGS, "P1,COPD,Meditron,Al,,"), (SEGMENTS, "0,1,normal")):
        header = (GOOD if name == RECORDINGS else CYCLES).splitlines()[0]
        (folder / name).write_text(f'{header}\n# a note,,,\n"{in_table}",{text}\n', encoding="utf-8")
    source = TablesLayout(load("sample"))
    return [(each.recording_id, each.path, " ".join(each.missing)) for each in source.recordings(folder)]


NFC, NFD = (unicodedata.normalize(form, "Müßig") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("on_disk", "in_table", "name"),
    [
        (f"{NFD}.wav", f"{NFC}.wav", NFC),
        (f"{NFC}.wav", f"{NFD}.wav", NFC),
        (f"{NFD}/x.wav", f"{NFC}\\x.wav", "x"),
        ("trailing .wav", "trailing .wav ", "trailing"),
        ("trailing .wav", "trailing.wav", "trailing"),
        (" leading.wav", " leading.wav", "leading"),
        ("no-break\u00a0.wav", "no-break.wav", "no-break"),
        ("#1 left, 14:05.WAV", "#1 left, 14:05.WAV", "#1 left, 14:05"),
    ],
)
def test_a_file_is_found_by_its_name_in_every_form(on_disk: str, in_table: str, name: str, tmp_path: Path) -> None:
    assert named(tmp_path, [on_disk], in_table) == [(name, on_disk, "")]
    source = TablesLayout(load("sample"))
    written = source.excerpt(tmp_path, {name})
    for table, content in written.items():
        (tmp_path / table).write_bytes(content)
    assert TablesLayout(load("sample")).excerpt(tmp_path, {name}) == written
    assert owners(written[RECORDINGS]) == [Recording(name, "P1", on_disk)]


def test_a_name_that_several_files_have_is_refused_and_the_exact_one_is_found(tmp_path: Path) -> None:
    both = [f"{NFC}.wav", f"{NFD} .wav"]
    assert named(tmp_path, both, f"{NFC}.wav")[0][1:] == (f"{NFC}.wav", "")
    _, path, fault = named(tmp_path, both, f"{NFD}.wav")[0]
    assert path == "" and all(ascii(name) in fault for name in both)


def test_a_blank_behind_the_ending_is_named(tmp_path: Path) -> None:
    assert "did you mean 'c.wav '" in named(tmp_path, ["c.wav "], "c.wav")[0][2]


def test_a_line_break_in_a_quoted_cell_is_part_of_it(write: Write) -> None:
    folder = write(GOOD.replace("P2", '"P\n2"').replace("Ar,", '"Ar\r\nleft",'))
    source = TablesLayout(load("sample"))
    b = source.recordings(folder)[1]
    assert (b.patient_id, b.location, b.missing) == ("P\n2", "Ar\r\nleft", ())
    assert owners(source.excerpt(folder, {"b"})[RECORDINGS]) == [Recording("b", "P\n2", "b.wav")]
