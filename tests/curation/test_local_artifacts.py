"""Local artifacts: what holds the patient is removed, what holds others is kept."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from auscult.core.digests import patient_key
from auscult.core.withdrawals import Withdrawals
from auscult.curation.withdrawals.local_artifacts import left_to_user, local_artifacts, unnamed_outputs
from auscult.curation.withdrawals.patient_lookup import mentions
from auscult.datasets import load
from auscult.versioning.lockfile import older_copies

ICBHI, SPRSOUND = load("icbhi"), load("sprsound")
TABLE = "File;patient_id;label;device;location\n# an example\nrec-17.wav;{};COPD;Meditron;Tc\n"
NAME, OTHER_NAME = "226_1b1_Pl_sc_LittC2SE", "156_2b3_Al_mc_AKGC417L"


def withdrawn(dataset: str = "icbhi", patient: str = "226") -> Withdrawals:
    return Withdrawals(dataset, {patient_key(dataset, patient): "2026-11-25"})


def put(root: Path, place: str, content: str = "x") -> Path:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def purge(root: Path, known_audio: frozenset[str] = frozenset(), aliases: frozenset[str] = frozenset()) -> set[str]:
    """Remove what is found, twice; return the files that are left."""
    for removal in [*local_artifacts(root, ICBHI, withdrawn(), known_audio, aliases)] * 2:
        removal.remove()
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "text",
    [f"{NAME}.wav", f"<td>{NAME}</td>", f'{{"id": "{NAME}:003"}}', f"x,{NAME},silent", f"same audio as {NAME}."],
)
def test_mentions_finds_a_recordings_name_in_text(text: str) -> None:
    assert mentions(ICBHI, text.encode(), withdrawn())
    assert not mentions(ICBHI, text.replace("226", "2261").encode(), withdrawn())


def test_mentions_finds_names_with_points() -> None:
    table = withdrawn("sprsound", "65058931")
    for text in ("65058931_3.4_1_p2_1086", "65058931_3.4_1_p2_1086.wav", "65058931_3.4_1_p2_1086:w001"):
        assert mentions(SPRSOUND, text.encode(), table)
    assert not mentions(SPRSOUND, b"65058932_3.4_1_p2_1086.wav", table)


def test_pages_and_lists_that_name_the_patient_are_removed(tmp_path: Path) -> None:
    for number, name in enumerate((NAME, OTHER_NAME)):
        for place in (
            *("reports/icbhi/ingest/{}.csv", "reports/icbhi/drift/{}.html", "reports/decisions/{}/page.html"),
            "reports/icbhi/hard-examples/{}/units.csv",
        ):
            put(tmp_path, place.format(number), f"<p>{name}.wav</p>")
    put(tmp_path, "data/icbhi/.raw.abc.part/x.wav")
    put(tmp_path, "reports/sample/ingest/0.csv", f"{NAME} of another data set")
    assert purge(tmp_path) == {
        "reports/sample/ingest/0.csv",
        "reports/icbhi/ingest/1.csv",
        "reports/icbhi/drift/1.html",
        "reports/decisions/1/page.html",
        "reports/icbhi/hard-examples/1/units.csv",
    }


def test_mentions_finds_an_alias_as_a_whole_word() -> None:
    for text in (
        "rec-17",
        "rec-17.wav",
        "<td>rec-17</td>",
        '"rec-17:003"',
        "same audio as rec-17, which",
        "week/rec-17",
    ):
        assert mentions(ICBHI, text.encode(), withdrawn(), {"rec-17"}), text
    for text in ("rec-171", "prec-17", "rec-18"):
        assert not mentions(ICBHI, text.encode(), withdrawn(), {"rec-17"}), text
    assert mentions(ICBHI, b"<td>A &amp; B</td>", withdrawn(), {"A & B"})
    name = unicodedata.normalize("NFC", "Zoë")
    for text in (name, unicodedata.normalize("NFD", name), json.dumps({"name": name})):
        assert mentions(ICBHI, text.encode(), withdrawn(), {name}), ascii(text)


def test_pages_that_name_an_alias_are_removed(tmp_path: Path) -> None:
    for number, name in enumerate(("rec-17", "rec-18")):
        put(tmp_path, f"reports/decisions/{number}/page.html", f"<p>{name}.wav</p>")
    assert purge(tmp_path, aliases=frozenset({"rec-17"})) == {"reports/decisions/1/page.html"}


def test_lists_with_names_of_unknown_patients_are_removed(tmp_path: Path) -> None:
    for number, name in enumerate(("rec-17", OTHER_NAME, "")):
        put(tmp_path, f"reports/icbhi/ingest/{number}.csv", f"recording_id,reason,detail\n{name},silent,\n")
    assert purge(tmp_path) == {"reports/icbhi/ingest/1.csv", "reports/icbhi/ingest/2.csv"}


def test_unnamed_outputs_are_those_of_dropped_experiments(tmp_path: Path) -> None:
    """The stages features and balance write their whole folder anew, so nothing is left in those."""
    made = {"models/icbhi/made/model.json", "data/icbhi/features", "data/icbhi/balanced"}
    for place in (
        "models/icbhi/made/model.json",
        "data/icbhi/features/logmel",
        "data/icbhi/balanced/made.parquet",
        "models/icbhi/made/weights/fold-0",
        "models/sample/x/model.json",
        "reports/icbhi/metrics/x.json",
    ):
        put(tmp_path, f"{place}/x" if "." not in place else place)
    assert unnamed_outputs(tmp_path, "icbhi", made) == []
    places = ("models/icbhi/old", "reports/icbhi/experiments/old")
    for place in places:
        put(tmp_path, place if "." in place else f"{place}/x")
    assert unnamed_outputs(tmp_path, "icbhi", made) == list(places)


def test_cached_arrays_of_kept_recordings_are_kept(tmp_path: Path) -> None:
    gone, kept = "a" * 64, "b" * 64
    for sha in (gone, kept):
        put(tmp_path, f".cache/audio/n/{sha}.f32")
        put(tmp_path, f".cache/copies/n/{sha}-noise.f32")
    assert purge(tmp_path, frozenset({kept})) == {
        f".cache/audio/n/{kept}.f32",
        f".cache/copies/n/{kept}-noise.f32",
    }


def test_cached_observations_of_the_patient_are_removed(tmp_path: Path) -> None:
    for name, patient in (("gone", "226"), ("kept", "156")):
        put(tmp_path, f".cache/drift/{name}.parquet")
        table = pd.DataFrame({"patient": [patient_key("icbhi", patient)]})
        table.to_parquet(tmp_path / f".cache/drift/{name}.parquet")
    put(tmp_path, ".cache/drift/damaged.parquet")
    assert purge(tmp_path) == {".cache/drift/kept.parquet"}


def archive(root: Path, name: str, recording: str) -> None:
    put(root, f".cache/downloads/{name}.json", "{}")
    with zipfile.ZipFile(root / ".cache/downloads" / name, "w") as opened:
        opened.writestr(f"ICBHI_final_database/{recording}.wav", b"x")


def test_finished_trials_of_searches_are_removed(tmp_path: Path) -> None:
    record = put(tmp_path, ".cache/search/0123/trial-0000.json", "{}")
    logits = put(tmp_path, ".cache/search/0123/trial-0000.logits", "learned from the patient too")
    purge(tmp_path)
    assert not record.exists() and not logits.exists()


def test_downloads_with_the_patient_are_removed_except_those_of_other_data_sets(tmp_path: Path) -> None:
    archive(tmp_path, "ICBHI_final_database.zip", NAME)
    archive(tmp_path, "0123abcd-mine.zip", NAME)
    archive(tmp_path, "0123abcd-other.zip", OTHER_NAME)
    archive(tmp_path, "SPRSound.zip", NAME)
    put(tmp_path, ".cache/downloads/ICBHI_Challenge_diagnosis.txt", "226\tCOPD\n")
    put(tmp_path, ".cache/downloads/ICBHI_Challenge_demographic_information.txt", "156\t70\n")
    put(tmp_path, ".cache/downloads/ICBHI_final_database.zip.part", "half of it")
    put(tmp_path, ".cache/source-icbhi.txt", "/somewhere")
    downloads = ".cache/downloads"
    assert purge(tmp_path) == {
        ".cache/source-icbhi.txt",
        f"{downloads}/0123abcd-other.zip",
        f"{downloads}/0123abcd-other.zip.json",
        f"{downloads}/SPRSound.zip",
        f"{downloads}/SPRSound.zip.json",
        f"{downloads}/ICBHI_Challenge_demographic_information.txt",
    }


def test_deliveries_are_reported_and_kept(tmp_path: Path) -> None:
    file = put(tmp_path, f"data/inbox/icbhi/week-1/{NAME}.wav")
    put(tmp_path, f"data/inbox/icbhi/week-2/{OTHER_NAME}.wav")
    put(tmp_path, ".cache/prefect/prefect.db", f"... rejected: {NAME} ...")
    put(tmp_path, "data/inbox/icbhi/week-3/recordings.csv", TABLE.format("226"))
    put(tmp_path, "data/inbox/icbhi/week-4/recordings.csv", TABLE.format("156"))
    put(tmp_path, "data/inbox/icbhi/week-5/recordings.csv", "damaged")
    said = left_to_user(tmp_path, ICBHI, withdrawn())
    assert len(said) == 3 and "data/inbox/icbhi/week-3" in said.pop(1)
    assert "data/inbox/icbhi/week-1" in said[0] and "rm -r .cache/prefect" in said[1]
    purge(tmp_path)
    assert file.exists()


def test_older_copies_of_the_lock_are_those_that_differ_from_it(tmp_path: Path) -> None:
    put(tmp_path, "dvc.lock", "now")
    put(tmp_path, ".cache/locks/icbhi.lock", "now")
    put(tmp_path, ".cache/locks/sample.lock", "another data set's")
    assert older_copies(tmp_path, "icbhi") == ()
    old = put(tmp_path, ".cache/locks/icbhi.lock", "older")
    assert older_copies(tmp_path, "icbhi") == (old,)
