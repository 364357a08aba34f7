"""The difference between two versions, for each change of a data set."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from auscult.core.errors import DataError
from auscult.curation.diff.difference import Difference, difference
from auscult.curation.diff.formats import SHOWN, markdown, summary, text
from auscult.curation.diff.version import DataVersion
from tests.curation.version_tables import edited, make_version, without


@pytest.fixture(scope="module")
def before() -> DataVersion:
    return make_version()


def counts(found: Difference) -> dict[str, tuple[float | None, float | None]]:
    return {row["name"]: (row["before"], row["after"]) for row in summary(found)["counts"]}


def test_the_order_of_rows_is_no_difference(before: DataVersion) -> None:
    shuffled = {
        name: getattr(before, name).sample(frac=1.0, random_state=1).reset_index(drop=True)
        for name in ("recordings", "segments", "assignment", "rejects")
    }
    found = difference(before, replace(before, **shuffled))
    assert found.same
    assert found.before.content_sha256 == found.after.content_sha256
    assert "the same recordings" in text(found)
    assert "The same recordings" in markdown(found)


def test_added_and_removed_recordings_include_their_patients_and_segments(before: DataVersion) -> None:
    gone = [f"p00005_{number}" for number in range(4)]
    found = difference(before, without(before, [*gone, "p00000_0"]))
    assert found.recordings_removed == ["p00000_0", *gone]
    assert found.patients_removed == ["p00005"]
    assert found.segments["removed"] == {"crackle": 5, "normal": 5, "wheeze": 5}
    back = difference(without(before, gone), before)
    assert (back.recordings_added, back.patients_added) == (gone, ["p00005"])
    assert back.segments["added"] == {"crackle": 4, "normal": 4, "wheeze": 4}
    assert counts(back)["hours"] == (0.2, 0.24)


@pytest.mark.parametrize(
    ("column", "value", "called"),
    [
        ("audio_sha256", "another", "audio"),
        ("label", "URTI", "label"),
        ("label", None, "label"),
        ("patient_id", "p00099", "patient"),
        ("device", "AKGC417L", "device"),
        ("location", "Pr", "location"),
        ("age_years", float("nan"), "age"),
        ("sex", "female", "sex"),
        ("published_part", "test", "published part"),
    ],
)
def test_difference_names_what_changed_of_a_recording(
    before: DataVersion, column: str, value: object, called: str
) -> None:
    found = difference(before, edited(before, "recordings", "p00000_1", **{column: value}))
    assert found.recordings_changed == {"p00000_1": [called]}
    assert not found.same
    assert counts(found)[f"recordings with another {called}"] == (None, 1)


def test_path_encoding_batch_and_order_of_a_file_are_no_difference(before: DataVersion) -> None:
    rewrapped = {"path": "added/x.flac", "sha256": "other bytes", "subtype": "PCM_24", "batch": "0123456789ab"}
    assert difference(before, edited(before, "recordings", "p00000_1", **rewrapped, sequence=99)).same


def test_relabelled_retimed_and_removed_segments_are_distinguished(before: DataVersion) -> None:
    after = edited(before, "segments", "p00001_0:000", label="wheeze")
    after = edited(after, "segments", "p00001_1:002", end_s=8.25)
    after = replace(after, segments=after.segments[after.segments["segment_id"] != "p00001_2:000"])
    renumbered = after.segments["segment_id"].replace({"p00001_2:001": "p00001_2:000", "p00001_2:002": "p00001_2:001"})
    after = replace(after, segments=after.segments.assign(segment_id=renumbered))
    found = difference(before, after)
    assert found.segments == {
        "relabelled": {"normal → wheeze": 1},
        "retimed": {"wheeze": 1},
        "added": {},
        "removed": {"normal": 1},
    }
    assert found.recordings_changed == {f"p00001_{number}": ["segments"] for number in range(3)}


def test_a_segment_with_other_times_and_label_is_another_segment(before: DataVersion) -> None:
    found = difference(before, edited(before, "segments", "p00001_0:000", label="wheeze", end_s=2.75))
    assert (found.segments["removed"], found.segments["added"]) == ({"normal": 1}, {"wheeze": 1})


def test_removing_one_of_two_equal_segments_counts_one(before: DataVersion) -> None:
    twice = before.segments.head(1).assign(segment_id="p00000_0:003")
    doubled = replace(before, segments=pd.concat([before.segments, twice], ignore_index=True))
    assert difference(doubled, before).segments["removed"] == {"normal": 1}


def test_rounding_of_times_is_no_difference(before: DataVersion) -> None:
    assert difference(before, edited(before, "segments", "p00001_0:001", start_s=3.0 + 1e-9)).same


def test_difference_lists_moves_between_parts_and_folds(before: DataVersion) -> None:
    after = edited(before, "assignment", "p00001_0", part="test", fold=-1)
    after = edited(after, "assignment", "p00002_0", fold=3)
    found = difference(before, after)
    assert [(m.recording_id, m.part_before, m.part_after, m.fold_after) for m in found.moves] == [
        ("p00001_0", "development", "test", -1),
        ("p00002_0", "development", "development", 3),
    ]
    said = counts(found)
    assert said["recordings moved from development to test"] == said["recordings moved to another fold"] == (None, 1)
    assert found.before.content_sha256 == found.after.content_sha256
    assert found.before.split_sha256 != found.after.split_sha256
    assert found.after.classes["binary"]["test"]["healthy"] == found.before.classes["binary"]["test"]["healthy"] + 1


def test_difference_lists_newly_rejected_and_accepted_recordings(before: DataVersion) -> None:
    rejects = pd.DataFrame({"recording_id": ["p00003_0", "p00003_0"], "reason": ["clipped", "too_short"], "detail": ""})
    after = replace(without(before, ["p00003_0"]), rejects=rejects)
    found = difference(before, after)
    assert found.rejected == {"p00003_0": {"clipped": "", "too_short": ""}}
    assert found.were_accepted == ["p00003_0"]
    assert (found.no_longer_rejected, found.accepted_again) == (["broken"], [])
    assert difference(after, before).accepted_again == ["p00003_0"]
    assert "p00003_0: clipped" in text(found)


def test_another_mapping_of_a_task_is_a_difference_and_another_title_is_none(before: DataVersion) -> None:
    binary, sounds = before.tasks
    assert difference(before, replace(before, tasks=(replace(binary, title="other words"), sounds))).same
    remapped = replace(binary, mapping={**binary.mapping, "URTI": None})
    assert difference(before, replace(before, tasks=(remapped, sounds))).tasks_changed == ["binary"]


def test_difference_refuses_two_data_sets(before: DataVersion) -> None:
    with pytest.raises(DataError, match="before has the data set made, after has other"):
        difference(before, replace(before, dataset="other", revision="after"))


def test_json_is_complete_and_stable_and_text_is_shortened(before: DataVersion) -> None:
    large = make_version(recordings=200)
    after = without(large, [f"p{number:05d}_1" for number in range(50)])
    found, again = difference(large, after), difference(large, after)
    written = json.dumps(found.to_json(), sort_keys=True)
    assert written == json.dumps(again.to_json(), sort_keys=True)
    assert len(json.loads(written)["recordings_removed"]) == 50
    assert json.loads(written)["schema"] == 1
    assert f"… and {50 - SHOWN} more" in text(found)


def test_markdown_and_summary_hold_no_names(before: DataVersion) -> None:
    after = without(edited(before, "recordings", "p00000_1", label="URTI"), ["p00001_0"])
    after = edited(after, "assignment", "p00002_0", part="test", fold=-1)
    found = difference(before, after)
    for public in (markdown(found), json.dumps(summary(found))):
        assert "p0000" not in public
    assert "- recordings removed: 1" in markdown(found)
    assert all(name in text(found) for name in ("p00000_1", "p00001_0", "p00002_0"))


def test_markdown_escapes_labels(before: DataVersion) -> None:
    hostile = "<img src=x>|@team [a](http://x)`\n# b"
    found = difference(before, edited(before, "recordings", "p00000_1", label=hostile))
    said = markdown(found)
    assert "<img" not in said and "\n# b" not in said
    assert "\\@team \\[a\\](http://x)\\`" in said


def test_an_empty_version_can_be_compared(before: DataVersion) -> None:
    nothing = without(before, before.recordings["recording_id"].tolist())
    found = difference(nothing, before)
    assert len(found.recordings_added) == 24
    assert sum(found.segments["added"].values()) == 72
    assert difference(nothing, nothing).same
