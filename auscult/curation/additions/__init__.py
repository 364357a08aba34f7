"""Additions: add deliveries of recordings to a data set, without editing what its publisher released.

``examine`` finds which recordings of a delivery can be added, are present already, or are rejected; ``add`` adds them;
``message`` is the text of the commit, without names::

    delivery = examine("icbhi", Path("delivery"))
    batch = add(delivery)          # "0123456789ab", or None if nothing can be added

``add_all`` does both for a folder that may hold a folder per delivery.
Git then keeps ``data/added/<dataset>/<batch>.dvc``, and ``dvc repro`` includes the batch.
"""

from auscult.curation.additions.adding import Added, add_all
from auscult.curation.additions.batch import add
from auscult.curation.additions.delivery import REASONS, Delivery, Rejected, count_rejected, message
from auscult.curation.additions.examination import examine

__all__ = ["REASONS", "Added", "Delivery", "Rejected", "add", "add_all", "count_rejected", "examine", "message"]
