"""PDF, Office and text: validated by structure, described, read for search."""
