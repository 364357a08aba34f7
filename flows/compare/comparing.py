"""From two sides that were read to the document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows.compare import figures, noise, recorded
from flows.compare.document import SCHEMA, Comparison, Data, Experiment, Fault, Part, Side
from flows.compare.figures import Method
from flows.compare.noise import Noise
from flows.compare.pipeline import Run
from flows.compare.sides import Answered, SideRead

_PARTS = ("validation", "test")


@dataclass
class Made:
    """One side as it was made.

    Attributes
    ----------
    side
        Who it is; its ``fault`` says why nothing was read.
    read
        ``None`` where nothing could be read.
    """

    side: Side
    run: Run = field(default_factory=Run)
    read: SideRead | None = None


def document(root: Path, base: Made, head: Made, asked: Method, data: Data | None) -> Comparison:
    """The comparison of two sides.

    Parameters
    ----------
    root
        Where the table of retraining noise lies.
    asked
        With the confidence that all experiments share.
    """
    old = base.read or SideRead("")
    new = head.read or SideRead(old.dataset)
    if base.read and head.read and old.dataset != new.dataset:
        why = f"base is about the data set {old.dataset}, head about {new.dataset}: no figure can be compared"
        base, old = Made(_with_fault(base.side, why), base.run), SideRead("")
    names = list(dict.fromkeys([*new.experiments, *old.experiments]))
    shared_by = max(1, len(new.experiments.keys() & old.experiments.keys()))
    method = Method(
        round(1.0 - (1.0 - asked.confidence) / shared_by, 6), asked.resamples, asked.seed, asked.min_patients
    )
    table = noise.load(root, new.dataset)
    experiments = [
        _experiment(name, old.experiments.get(name), new.experiments.get(name), table, method, base=base.read is not None)
        for name in names
    ]
    both = base.read is not None and head.read is not None
    return Comparison(
        SCHEMA,
        new.dataset,
        base.side,
        head.side,
        method.confidence,
        shared_by,
        method.resamples,
        tuple(experiments[:100]),
        tuple(recorded.parameters(old.params, new.params)[:400] if both else ()),
        data,
        tuple(recorded.stages(old.lock, new.lock, base.run, head.run)[:400] if both else _failed(head.run)),
        tuple(recorded.sizes(old.lock, new.lock, both=both) if new.lock else ()),
        tuple([*_faults("head", new), *_faults("base", old)][:400]),
    )
