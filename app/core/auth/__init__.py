"""The parts of authentication behind `core/security.py`."""
