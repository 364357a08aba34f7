"""Ids have one form, and different ids that look alike are found."""

from __future__ import annotations

import unicodedata

import pytest

from auscult.core.digests import patient_key
from auscult.core.identifiers import look_alikes, normal
from auscult.core.records import Recording
from auscult.core.withdrawals import Withdrawals

NFC, NFD = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("text", [NFC, NFD, f" {NFD}\t", f"\ufeff{NFC}\u00a0", f"{NFD}\u200b\r"])
def test_an_id_has_one_form(text: str) -> None:
    assert normal(text) == NFC
    assert Recording(text, text, "a.wav") == Recording(NFC, NFC, "a.wav")
    assert patient_key("sample", text) == patient_key("sample", NFC)


@pytest.mark.parametrize("text", ["P 10", "ﬁ", "101", "p10", "0010", "12.0"])
def test_what_a_person_may_mean_is_not_changed(text: str) -> None:
    assert normal(text) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P10", "p10"),
        ("0010", "10"),
        ("12", "12.0"),
        ("12", "12,00"),
        ("PX 7", "PX7"),
        ("PX 7", "PX\u00a07"),
        ("P-21", "P\u201121"),
        ("P\u200b1", "P1"),
        ("Zoë", "Zoe"),
        ("P\uff11", "P1"),
        ("Anna Maria", "anna-maria"),
        ("1-01", "1-1"),
    ],
)
def test_ids_that_look_alike_are_found(one: str, other: str) -> None:
    assert look_alikes([one, "other", other, one, ""]) == [tuple(sorted((one, other)))]


@pytest.mark.parametrize(
    ("one", "other"), [("1-11", "11-1"), ("P1", "P11"), ("10", "100"), ("1.5", "15"), ("---", "--"), ("", "0")]
)
def test_different_ids_do_not_look_alike(one: str, other: str) -> None:
    assert look_alikes([one, other]) == []


def test_a_withdrawal_takes_every_form_also_with_the_key_of_an_older_version() -> None:
    new = Withdrawals("sample", {patient_key("sample", NFD): "2026-01-31"})
    older = Withdrawals("sample", {"0ded1de4de6af055": "2026-01-31"})  # of the decomposed form
    for table in (new, older):
        assert table.holds(NFC) and table.holds(NFD) and table.holds(f" {NFC}") and not table.holds("Zoe")
