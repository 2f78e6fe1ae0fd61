"""Which passwords are refused, as a table, and how they are hashed."""

from __future__ import annotations

import unicodedata

import pytest
from argon2 import PasswordHasher

from dashboard.errors import Refused
from dashboard.store.passwords import Passwords, is_common, refuse_weak
from tests.stores import cheap


@pytest.mark.parametrize(
    "password",
    [
        "midnight", "Steelers", "liverpool1", "minecraft", "qweasdzxc", "drowssap", "ghbdtnbr", "realmadrid",
        "password", "Password1", "passw0rd", "P@ssw0rd", "p4ssw0rd!", "password123", "123password", "passwordpassword",
        "12345678", "123456789", "1234567890", "87654321", "11111111", "00000000", "12341234", "123123123", "abcabcabc",
        "qwertyui", "qwerty123", "qwertyuiop", "1q2w3e4r", "1qaz2wsx", "q1w2e3r4", "asdfghjkl", "zxcvbnm1", "qazwsxedc",
        "iloveyou", "iloveyou2", "sunshine", "princess", "football", "baseball", "superman", "trustno1", "letmein1",
        "welcome1", "Welcome2024!", "admin123", "administrator", "adminadmin", "root1234", "changeme", "Summer2026",
        "dashboard", "camera123", "hikvision", "michael1", "jennifer", "19841984", "01011990", "abcdefgh", "abcd1234",
        "aaaaaaaa", "passwort1", "hallo123", "dragon123", "monkey12", "shadow99", "  password  ",
    ],
)  # fmt: skip
def test_what_is_tried_first_is_refused(password: str) -> None:
    assert is_common(password)
    with pytest.raises(Refused):
        refuse_weak("somebody", password)


@pytest.mark.parametrize(
    "password",
    [
        "Kirschkernweitspucken", "correct horse battery staple", "xkcd-9f3!aQ", "tR7#mm2Lq0", "пароль-от-сарая",
        "密码密码很长的密码", "🦉🦉🪵🪵🌲🌲🌙🌙⭐", "my dog eats 7 socks", "vier Fäuste für ein",
        "0x51a7e9c2", "k3mNvQ8ZrT1p", "blaue Gießkanne 4",
    ],
)  # fmt: skip
def test_what_is_not_stays(password: str) -> None:
    refuse_weak("somebody", password)


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("ann", "seven77", "at least 8"),
        ("ann", "x" * 1025, "at most 1024"),
        ("Margarethe", "margarethe", "the user's name"),
        ("Margarethe", "Margarethe2026!", "the user's name"),
    ],
)
def test_what_is_unfit_is_said(name: str, password: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        refuse_weak(name, password)


def test_no_byte_is_cut_off() -> None:
    passwords = cheap()
    for length in (72, 73, 200, 1024):
        stored = passwords.hash("ä" * (length - 1) + "b")
        assert passwords.right("ä" * (length - 1) + "b", stored)
        assert not passwords.right("ä" * (length - 1) + "c", stored)


def test_ways_of_composing_an_accent_are_one_password() -> None:
    passwords = cheap()
    stored = passwords.hash(unicodedata.normalize("NFC", "Müllerstraße 7"))
    assert passwords.right(unicodedata.normalize("NFD", "Müllerstraße 7"), stored)


def test_nobodys_hash_is_work_too_and_never_right() -> None:
    passwords = cheap()
    assert not passwords.right("nobody's password", None)
    assert not passwords.right("x" * 10_000_000, None)
    assert not passwords.right("half \ud83d of it", passwords.hash("something else"))
    assert not passwords.right("anything", "no hash at all")


def test_half_a_character_is_refused() -> None:
    with pytest.raises(Refused, match="half a character"):
        cheap().hash("half \ud83d of it")


def test_it_is_argon2id_with_todays_parameters() -> None:
    stored = Passwords().hash("Kirschkernweitspucken")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert not Passwords().is_old(stored)
    assert Passwords().is_old(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"))
