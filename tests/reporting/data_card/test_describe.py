"""The stage describe: equal content gives an equal version, and the card identifies no person."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from auscult.core.storage import read_table
from auscult.reporting.data_card.card import SMALLEST, age_groups, sexes
from auscult.reporting.data_card.identity import content_sha256, split_sha256
from stages.describe import main as describe
from stages.split import main as split
from stages.validate import main as validate
from tests.curation.version_tables import edited, make_version
from tests.validation.small_data_set import (
    PATHS,
    breath,
    make_data_set,
    make_delivery,
    name_of,
    put_batch,
    write_annotation,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a described data set of 12 patients, with one malformed annotation."""
    root = tmp_path_factory.mktemp("data-set")
    make_data_set(root)
    write_annotation(root, name_of(104, 2), "3\t1\t0\t0\n")
    reproduce(root)
    return root


def reproduce(root: Path) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        validate()
        split()
        describe()
    found: dict[str, object] = json.loads((root / PATHS.version).read_text())
    return found


def digest_of(root: Path) -> str:
    recordings, segments = (read_table(root / PATHS.manifest / f"{n}.parquet") for n in ("recordings", "segments"))
    return content_sha256(recordings, segments)


def test_a_version_has_name_digest_licence_and_counts(made: Path) -> None:
    version = json.loads((made / PATHS.version).read_text())
    assert version["name"] == f"sample-{digest_of(made)[:8]}"
    assert version["content_sha256"] == digest_of(made)
    assert (version["recordings"], version["patients"], version["set_aside"], version["added_recordings"]) == (
        *(23, 12, 1),
        0,
    )
    assert version["licence"]
    assert all(isinstance(value, (int, float, str)) for value in version.values())


def test_the_same_recordings_as_an_addition_are_the_same_content(made: Path, tmp_path: Path) -> None:
    """One copy gets the recording as an addition, the other in its download."""
    new = name_of(301)
    one, other = Path(shutil.copytree(made, tmp_path / "one")), Path(shutil.copytree(made, tmp_path / "other"))
    delivery = make_delivery(tmp_path / "delivery", {new: breath(5)})
    put_batch(one, delivery)
    for file in (delivery / "ICBHI_final_database").iterdir():
        shutil.copy(file, other / PATHS.raw / "ICBHI_final_database" / file.name)
    for table in delivery.glob("*.txt"):
        with (other / PATHS.raw / table.name).open("a") as more:
            more.write(table.read_text())
    added, downloaded = reproduce(one), reproduce(other)
    assert (added["added_recordings"], downloaded["added_recordings"]) == (1, 0)
    assert added["content_sha256"] == downloaded["content_sha256"] != digest_of(made)
    assert "1 recordings in 1 additions" in (one / PATHS.card).read_text()


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "differs"),
    [
        ("recordings", "p00000_1", "audio_sha256", "x", True),
        ("recordings", "p00000_1", "patient_id", "x", True),
        ("recordings", "p00000_1", "label", "URTI", True),
        ("recordings", "p00000_1", "label", None, True),
        ("recordings", "p00000_1", "age_years", 3.5, True),
        ("recordings", "p00000_1", "sex", None, True),
        ("segments", "p00000_1:001", "end_s", 5.51, True),
        ("segments", "p00000_1:001", "label", "wheeze", True),
        ("segments", "p00000_1:001", "end_s", 5.5 + 1e-9, False),
        ("recordings", "p00000_1", "path", "x", False),
        ("recordings", "p00000_1", "sha256", "x", False),
        ("recordings", "p00000_1", "batch", "0123456789ab", False),
        ("recordings", "p00000_1", "published_part", "test", False),
    ],
)
def test_the_digest_covers_the_content_of_recordings_and_nothing_else(
    table: str, row: str, column: str, value: object, differs: bool
) -> None:
    before = make_version()
    after = edited(before, table, row, **{column: value})
    assert (after.content_sha256 != before.content_sha256) is differs


def test_the_digest_is_stable() -> None:
    """A changed digest would rename all versions that users have written down."""
    version = make_version(8)
    assert (
        content_sha256(version.recordings, version.segments)
        == "97073527b02c4baa264a0b44fadd98888a3f07e2406afc590b1ab26ce61b83d7"
    )
    assert split_sha256(version.assignment) == "2fb85512063c3afc0d18b4321c89b1222b9d25e65ebcfc6c3d0ddc47666a5687"


def test_the_card_names_no_patient_and_no_recording(made: Path) -> None:
    card = (made / PATHS.card).read_text()
    recordings = read_table(made / PATHS.manifest / "recordings.parquet")
    assert not [name for name in recordings["recording_id"] if name in card]
    assert name_of(104, 2) not in card
    for wanted in ("23 recordings of 12 patients", "annotation_malformed | 1", "## Known limits", "## How to cite"):
        assert wanted in card


def test_no_group_of_ages_or_sexes_is_smaller_than_the_limit() -> None:
    recordings = make_version(200).recordings
    for years in ([1.0] * 2 + [70.0] * 198, [30.0] * 200, [90.0] * 2 + [3.0] * 198, [float(n) for n in range(200)]):
        groups = age_groups(recordings.assign(patient_id=recordings["recording_id"], age_years=years))
        assert min(groups.values()) >= SMALLEST
        assert sum(groups.values()) == 200
    two = recordings.head(8)
    assert age_groups(two) == {} == sexes(two)
    assert sexes(recordings) == {"female": 25, "male": 25}


def test_a_second_run_writes_the_same_bytes(made: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made, tmp_path / "again"))
    reproduce(root)
    for path in (PATHS.card, PATHS.version):
        assert (root / path).read_bytes() == (made / path).read_bytes()
