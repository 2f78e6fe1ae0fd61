"""The secret that signs forms: made once, kept in the data folder, never shown. Sessions do not depend on it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dashboard.errors import StoreError
from dashboard.store.folder import make_private, sync_folder

LENGTH = 32
"""Bytes."""


def secret_of(data_dir: Path) -> bytes:
    """The data folder's secret, made at the first call. Raises StoreError when the file holds something weaker."""
    path = data_dir / "secret"
    make_private(data_dir)
    try:
        text = path.read_text("ascii").strip() if path.exists() else _make(path)
        secret = bytes.fromhex(text)
    except (OSError, ValueError) as error:
        raise StoreError(f"the secret in {path} cannot be used; delete it, and a new one is made") from error
    if len(secret) < LENGTH or len(set(secret)) < LENGTH // 4:
        raise StoreError(f"the secret in {path} is too weak; delete it, and a new one is made")
    path.chmod(0o600)
    return secret


def _make(path: Path) -> str:
    text = secrets.token_hex(LENGTH)
    fresh = path.with_name(f".secret-{os.getpid()}.tmp")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)
    return text
