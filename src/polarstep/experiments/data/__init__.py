"""Data sets of the experiments: downloads, image sets and tables."""
