"""Additions: putting a delivery of recordings into a data set, without editing what its publisher released.

``examine`` says what of a delivery can join, what is there already and what stays out;
``add`` puts in what can; ``message`` tells git about it, without anybody's name::

    delivery = examine("icbhi", Path("delivery"))
    batch = add(delivery)          # "0123456789ab", or None where nothing can join

Git then keeps ``data/added/<dataset>/<batch>.dvc``, and ``dvc repro`` takes the batch in.
"""

from flows.additions.batch import add, make_ready
from flows.additions.delivery import REASONS, Delivery, Rejected, message
from flows.additions.examination import examine

__all__ = ["REASONS", "Delivery", "Rejected", "add", "examine", "make_ready", "message"]
