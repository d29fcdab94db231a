"""Raster images: reading within limits, turning, fitting, writing clean."""
