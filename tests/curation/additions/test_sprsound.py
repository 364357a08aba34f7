"""A delivery to SPRSound, in SPRSound's layout."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import soundfile

from auscult.core.paths import Paths
from auscult.core.storage import read_table
from auscult.curation.additions import add, examine
from auscult.validation.additions import checksums
from stages.split import main as split
from stages.validate import main as validate
from tests.curation.additions.delivery_checks import accepted, reasons
from tests.validation.small_data_set import breath, set_parameter

SPRSOUND = Paths("sprsound")


def child(number: int, take: int = 1) -> str:
    return f"{65000000 + number}_3.4_{number % 2}_p{1 + take % 4}_{10 * number + take}"


def write_child(folder: Path, name: str, seed: int, sub: str = "train2022") -> None:
    """A recording with two events, the later one first."""
    (folder / f"{sub}_wav").mkdir(parents=True, exist_ok=True)
    (folder / f"{sub}_json").mkdir(exist_ok=True)
    soundfile.write(folder / f"{sub}_wav" / f"{name}.wav", breath(seed, 6.0, 8000), 8000)
    events = [{"start": "3000", "end": "5000", "type": "Wheeze"}, {"start": "100", "end": "2400", "type": "Normal"}]
    about = {"record_annotation": "CAS", "event_annotation": events}
    (folder / f"{sub}_json" / f"{name}.json").write_text(json.dumps(about))


def test_a_delivery_to_sprsound_in_its_own_layout(root: Path, tmp_path: Path) -> None:
    """params.yaml names the sample again by the time that SPRSound gets its delivery."""
    for number in range(6):
        write_child(root / SPRSOUND.raw, child(number), 500 + number)
    set_parameter(root, "dataset", "sprsound")
    with chdir(root):
        validate()
        split()
    set_parameter(root, "dataset", "sample")
    folder = tmp_path / "delivery"
    write_child(folder / "BioCAS2022", child(2, 2), 600)
    write_child(folder / "BioCAS2022", child(9), 601, sub="train")  # a copy that leaves the year out
    write_child(folder / "BioCAS2022", child(0), 602)
    write_child(folder / "BioCAS2022", child(1), 501)
    examined = examine("sprsound", folder, root)
    assert accepted(examined) == [child(2, 2), child(9)]
    assert (reasons(examined), examined.present) == ({child(0): "duplicate_id"}, (child(1),))
    assert (examined.known, examined.new) == ({"65000002"}, {"65000009"})
    batch = root / SPRSOUND.added / str(add(examined))
    places = [
        f"{folder}/{name}.{end}"
        for folder, end in (("train2022_json", "json"), ("train2022_wav", "wav"))
        for name in accepted(examined)
    ]
    assert sorted(checksums(batch)) == sorted(places)
    set_parameter(root, "dataset", "sprsound")
    with chdir(root):
        validate()
        split()
    table = read_table(root / SPRSOUND.split / "assignment.parquet").set_index("recording_id")
    assert table.loc[[child(2, 2), child(9)], "published_part"].isna().all()
    assert table.loc[child(2, 2), "part"] == table.loc[child(2), "part"] == examined.parts["65000002"]
    assert table.loc[child(9), "part"] == examined.parts["65000009"]
