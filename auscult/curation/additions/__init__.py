"""Additions: add deliveries of recordings to a data set, without editing what its publisher released.

``examine`` finds what of a delivery can be added, is present already, or is rejected; ``add`` adds it; ``message`` is
the text for git, without names::

    delivery = examine("icbhi", Path("delivery"))
    batch = add(delivery)          # "0123456789ab", or None if nothing can be added

``add_all`` does both for a folder that may hold a folder per delivery.
Git then keeps ``data/added/<dataset>/<batch>.dvc``, and ``dvc repro`` includes the batch.
"""

from auscult.curation.additions.adding import add_all
from auscult.curation.additions.batch import add, make_ready
from auscult.curation.additions.delivery import REASONS, Delivery, Rejected, left_out, message
from auscult.curation.additions.examination import examine

__all__ = ["REASONS", "Delivery", "Rejected", "add", "add_all", "examine", "left_out", "make_ready", "message"]
