"""Scenes of shapes: drawn, described, asked about, and what is true of them can be counted."""
