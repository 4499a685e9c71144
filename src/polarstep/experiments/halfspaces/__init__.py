"""Experiment I of the paper: learning halfspaces."""
