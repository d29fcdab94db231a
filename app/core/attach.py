"""Who may upload for a content; its creator says so. Knows nothing else."""

from enum import StrEnum


class Attach(StrEnum):
    """`anyone` who is signed in, as the founding document has it, or its `creator` alone."""

    ANYONE = "anyone"
    CREATOR = "creator"
