"""Whatever the document allows and what it does not: each answer is one that the document knows, and none is a 5xx."""

import os

import pytest

from tests.fixtures.fuzz import fuzz
from tests.fixtures.live_service import LiveServiceFactory

# `make fuzz` asks for thousands, each time others.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.timeout(120 + 3 * EXAMPLES)
def test_every_answer_is_in_the_document(make_live_service: LiveServiceFactory) -> None:
    service = make_live_service()
    assert fuzz(service, examples=EXAMPLES, begin=SEED) == []
    assert "request.crashed" not in service.log_path.read_text()
