"""Loads: named points, their safety, and the drivers that read and write them."""
