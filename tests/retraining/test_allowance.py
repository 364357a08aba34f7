"""A retraining keeps what its decisions use, and tells the gate what earlier ones have used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auscult.core.paths import Paths
from auscult.core.storage import write_json
from auscult.registry.gate.allowance import Spent
from auscult.registry.gate.noise import NOISE_FILE, NOT_MEASURED, Noise, Spread
from auscult.registry.gate.rule import Decision
from auscult.registry.outputs import registered_name
from auscult.registry.versions import LOSS
from auscult.retraining import steps
from auscult.settings import load
from tests.flows.registries import DATASET, EXPERIMENT, fill

ROOT = Path(__file__).resolve().parents[2]


class Nights:
    """Retrainings in a registry of three versions, with a gate that decides as told and remembers what it was given."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.registry = root, fill(root)
        self.noise, self.spent = NOT_MEASURED, Spent()
        self._digest, self._decision = "", Decision("refuse", "not_shown", "a reason")
        monkeypatch.setattr(steps, "judge", self._judge)
        monkeypatch.setattr(steps, "digest_of_model", lambda _: self._digest)
        self.data("sample-1")

    def _judge(self, *given: Any) -> Decision:
        self.noise, self.spent = given[-2:]
        return self._decision

    def data(self, name: str) -> None:
        write_json(self.root / Paths(DATASET).version, {"name": name})

    def decide(self, number: str, outcome: str, rule: str, **details: float) -> dict[str, Any]:
        self._digest, self._decision = f"digest-{number}", Decision(outcome, rule, "a reason", details)  # type: ignore[arg-type]
        decided = steps.decide_on(self.root, self.root, *load(ROOT), EXPERIMENT)
        return decided.promotion()

    def promote(self, promotion: dict[str, Any]) -> None:
        version = self.registry.version(DATASET, EXPERIMENT, promotion["version"])
        self.registry.promote(DATASET, EXPERIMENT, version, promotion["decision"])


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(tmp_path, monkeypatch)


def test_errors_add_up_over_challengers_and_not_over_repetitions(nights: Nights) -> None:
    nights.promote(nights.decide("1", "promote", "first", error=0.025))
    assert nights.spent == Spent()
    nights.decide("2", "refuse", "not_shown", error=0.02)
    assert nights.spent == Spent(errors=0.025)
    nights.decide("2", "refuse", "not_shown", error=0.02)
    assert nights.spent == Spent(errors=pytest.approx(0.045), again=0.02)
    nights.decide("3", "undecided", "too_few_patients")
    assert nights.spent == Spent(errors=pytest.approx(0.045)), "the repetition used nothing"
    nights.data("sample-2")
    nights.decide("2", "refuse", "not_shown", error=0.01)
    assert nights.spent == Spent(errors=pytest.approx(0.045)), "other data are another chance"
    nights.decide("3", "refuse", "not_shown", error=0.01)
    assert nights.spent == Spent(errors=pytest.approx(0.055))


def test_what_a_cheaper_champion_may_have_lost_stays_with_it(nights: Nights) -> None:
    nights.promote(nights.decide("1", "promote", "first", error=0.025, loss=0.0))
    nights.promote(nights.decide("2", "promote", "as_good_and_cheaper", error=0.02, loss=0.015))
    nights.decide("3", "refuse", "not_shown", error=0.02)
    assert nights.spent.loss == 0.015
    nights.registry.roll_back(DATASET, EXPERIMENT, "a test")
    nights.decide("3", "refuse", "not_shown", error=0.02)
    assert nights.spent.loss == 0.0, "the champion before had lost nothing"
    two = nights.registry.version(DATASET, EXPERIMENT, "2")
    assert two.to_record()["tags"][LOSS] == "0.015", "git keeps it"
    nights.registry.promote(DATASET, EXPERIMENT, two, {"rule": "manual", "reason": "a person decided"})
    nights.decide("3", "refuse", "not_shown", error=0.02)
    assert nights.spent.loss == 0.0, "a person's decision begins a new chain"


def test_the_gate_gets_the_seed_variance_of_the_retrained_revision(nights: Nights) -> None:
    nights.decide("1", "refuse", "not_shown", error=0.02)
    assert nights.noise is NOT_MEASURED
    own = {EXPERIMENT: {"validation": {}, "test": {"score": 0.03}}}
    pooled = {"validation": {}, "test": {"score": 0.04}}
    section = {"commit": "a", "seeds": [1, 2, 3, 4], "experiments": own, "pooled": pooled}
    write_json(nights.root / NOISE_FILE, {"datasets": {DATASET: section}})
    nights.decide("1", "refuse", "not_shown", error=0.02)
    assert nights.noise == Noise("measured", {"validation": {}, "test": {"score": Spread(0.03, 3.0)}})


def test_a_champion_of_an_earlier_release_has_lost_nothing(nights: Nights) -> None:
    nights.promote(nights.decide("1", "promote", "first"))
    nights.registry.client.delete_model_version_tag(registered_name(DATASET, EXPERIMENT), "1", LOSS)
    nights.decide("2", "refuse", "not_shown")
    assert nights.spent == Spent()
