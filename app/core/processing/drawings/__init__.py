"""SVG: sanitised, measured, drawn."""
