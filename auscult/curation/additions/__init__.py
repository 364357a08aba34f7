"""Additions: putting a delivery of recordings into a data set, without editing what its publisher released.

``examine`` says what of a delivery can join, what is there already and what stays out;
``add`` puts in what can; ``message`` tells git about it, without anybody's name::

    delivery = examine("icbhi", Path("delivery"))
    batch = add(delivery)          # "0123456789ab", or None where nothing can join

``add_all`` does both for a folder that may hold a folder per delivery.
Git then keeps ``data/added/<dataset>/<batch>.dvc``, and ``dvc repro`` takes the batch in.
"""

from auscult.curation.additions.batch import add, make_ready
from auscult.curation.additions.delivery import REASONS, Delivery, Rejected, left_out, message
from auscult.curation.additions.examination import examine
from auscult.curation.additions.folders import add_all

__all__ = ["REASONS", "Delivery", "Rejected", "add", "add_all", "examine", "left_out", "make_ready", "message"]
