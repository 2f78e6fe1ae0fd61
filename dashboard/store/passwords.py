"""Which passwords are refused, and how one is hashed. Whose it is belongs to users.

Two things find a common password. The few ways in which people make them: a common word with digits around it or
digits for letters, a walk over the keyboard, a sequence, something repeated. And `common_passwords.bin`, for those
that are common for no such reason: sorted fingerprints of all with eight characters or more among the 30,000 most
frequent in published leaks, in the order that zxcvbn 4.5 gives them. A newer list becomes such a file by
`b"".join(sorted({fingerprint(line) for line in lines}))`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dashboard.errors import Refused

SHORTEST, LONGEST = 8, 1024

LEET = str.maketrans("0134578@$!|", "oleastbasil")
AROUND = "0123456789!?.,-_*#$@+ "
KEYBOARD = (
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1234567890",
    "qwertzuiop",
    "azertyuiop",
    "abcdefghijklmnopqrstuvwxyz",
)
COLUMNS = (
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujmikolp",
)


def refuse_weak(name: str, password: str) -> None:
    """Raise Refused, with a text for the person who typed it, unless `password` will do for `name`."""
    if len(password) < SHORTEST:
        raise Refused(f"the password is too short: at least {SHORTEST} characters")
    if len(password) > LONGEST:
        raise Refused(f"the password is too long: at most {LONGEST} characters")
    folded = password.casefold()
    if folded.strip() == name.casefold() or folded.replace(name.casefold(), "", 1).strip("0123456789!?.-_ ") == "":
        raise Refused("the password must not be the user's name")
    if is_common(password):
        raise Refused("the password is one of those that are tried first")


def is_common(password: str) -> bool:
    """Whether `password` is made in one of the ways that a guesser tries first. Pure."""
    folded = unicodedata.normalize("NFKC", password).casefold().strip()
    if fingerprint(folded) in _fingerprints() or _repeats(folded) or _walks(folded):
        return True
    for core in (folded, folded.strip(AROUND), "".join(letter for letter in folded if letter.isalpha())):
        for form in (core, core.translate(LEET), core.replace("1", "i").translate(LEET)):
            if form in _words() or form.strip(AROUND) in _words() or _is_two(form):
                return True
    return folded.isdigit() and len(folded) <= 10  # dates and telephone numbers


def fingerprint(folded: str) -> bytes:
    """Four bytes that stand for a password in small letters; one in 370,000 others is taken for a common one. Pure."""
    return hashlib.sha256(folded.encode(errors="replace")).digest()[:4]


def _repeats(text: str) -> bool:
    """`aaaaaaaa`, `abcabcabc`, `12121212`: at most four characters again and again."""
    return any(text == (text[:n] * len(text))[: len(text)] for n in range(1, 5))


def _walks(text: str) -> bool:
    """Neighbours on the keyboard or in a sequence, there or back, with little else: `qwertyui`, `zyxw4321`."""
    rest = text
    for row in (*COLUMNS, *KEYBOARD):
        for way in (row, row[::-1]):
            for start in range(len(way)):
                for end in range(len(way), start + 3, -1):
                    if way[start:end] in rest:
                        rest = rest.replace(way[start:end], "", 1)
                        break
    return len(rest) <= len(text) - 6 and len(rest) <= 2


def _is_two(core: str) -> bool:
    """`adminadmin`, `rootadmin`: two of the words, with nothing else."""
    return any(core[:cut] in _words() and core[cut:] in _words() for cut in range(3, len(core) - 2))


@cache
def _fingerprints() -> frozenset[bytes]:
    data = (files("dashboard.store") / "common_passwords.bin").read_bytes()
    return frozenset(data[at : at + 4] for at in range(0, len(data), 4))


@cache
def _words() -> frozenset[str]:
    text = (files("dashboard.store") / "common_words.txt").read_text("utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


class Passwords:
    """Hashes with argon2id. `hasher` may be a cheaper one, for tests."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobodys: str | None = None

    def hash(self, password: str) -> str:
        """The hash to be stored, with a salt of its own. Raises Refused for what no keyboard makes."""
        try:
            return self._hasher.hash(_one_form(password))
        except UnicodeEncodeError:
            raise Refused("the password contains half a character") from None

    def right(self, password: str, stored: str | None) -> bool:
        """Whether `password` gives `stored`. Takes the same time for None, nobody's hash, and then says no."""
        if stored is None:
            self._nobodys = self._nobodys or self._hasher.hash("nobody's password")
        try:
            good = self._hasher.verify(stored or self._nobodys or "", _one_form(password[: LONGEST + 1]))
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
        return good and stored is not None and len(password) <= LONGEST

    def is_old(self, stored: str) -> bool:
        """Whether `stored` was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)


def _one_form(password: str) -> str:
    """One spelling of what looks the same: keyboards differ in how they compose an accent."""
    return unicodedata.normalize("NFC", password)
