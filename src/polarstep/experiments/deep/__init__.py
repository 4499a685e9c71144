"""Experiment II of the paper: deep networks with and without normalization."""
