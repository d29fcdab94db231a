"""The parts of an upload's way in behind `core/upload_stream.py`."""
