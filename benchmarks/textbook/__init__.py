"""The service as the tutorials write it: a fair and complete baseline, not a straw man."""
