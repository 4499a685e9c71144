"""Shared parts of the experiments on deep networks: architecture, learning rates, rows, images."""
