"""What the dashboard raises on purpose, and nothing else; errors of libraries are turned into these at the border.

    DashboardError
    ├── ConfigError        cameras.yaml cannot be used; carries every finding at once
    ├── SourceError        a camera cannot be opened or read; its text is shown to people
    │   └── SourceRefused  the camera answers, and says no: wrong password, no such stream
    ├── StoreError         rows or files cannot be written or read
    │   ├── DiskReserved   too little disk is free; snapshots wait
    │   └── DataFolderBusy another process already uses this data folder
    ├── Refused            what was asked is not allowed; the text says why
    └── NotFound           there is no such camera, event, snapshot or user

No text of an error ever holds a password: `logs.redact` goes over what comes from outside first.
"""

from __future__ import annotations


class DashboardError(Exception):
    """Root of the tree: a person can act on its text."""


class ConfigError(DashboardError):
    """cameras.yaml cannot be used. `findings`: one line for each error, in the order of the file."""

    def __init__(self, findings: list[str]) -> None:
        self.findings = findings
        super().__init__("\n".join(findings))


class SourceError(DashboardError):
    """A camera cannot be opened or read. The text is the reason shown on its tile, in words."""


class SourceRefused(SourceError):
    """The camera answered and said no (401, 403, 404): trying again quickly is of no use."""


class StoreError(DashboardError):
    """Rows or files cannot be written or read."""


class DiskReserved(StoreError):
    """Less than the reserve is free on the data folder's disk; snapshots wait until there is room."""


class DataFolderBusy(StoreError):
    """Another process already works in this data folder."""


class Refused(DashboardError):
    """What was asked is not allowed: a name that is taken, a weak password, the last admin's removal."""


class NotFound(DashboardError):
    """No such camera, event, snapshot or user."""
