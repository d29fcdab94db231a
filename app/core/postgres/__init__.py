"""The parts behind `core/database.py` and `core/embedded.py`."""
