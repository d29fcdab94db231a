"""Recognises what commits on its way to PostgreSQL: a COMMIT, and the statements of an upload, each a transaction.

The driver sends the text of a statement once and its name from then on, unique in its process.
"""

import re

WRITES = ("INSERT INTO storage_journal (key, owner) SELECT unnest", "WITH struck AS")
"""How the statements of an upload begin that are committed by themselves."""

_COMMIT = b"COMMIT;\x00"
_NAME = rb"(__asyncpg_stmt_\w+__)\x00"
_PREPARED = re.compile(_NAME + rb"\s*(?:" + b"|".join(re.escape(text.encode()) for text in WRITES) + b")")
# Bind: its letter, four bytes of length, the empty name of the portal.
_BOUND = re.compile(rb"B.{4}\x00" + _NAME, re.DOTALL)


class CommitSpotter:
    """Shown everything that is sent, piece by piece."""

    def __init__(self) -> None:
        self._names: set[bytes] = set()

    def is_commit(self, sent: bytes) -> bool:
        """Whether the server commits upon this."""
        self._names.update(_PREPARED.findall(sent))
        return _COMMIT in sent or not self._names.isdisjoint(_BOUND.findall(sent))
