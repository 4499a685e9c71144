"""The data sets of the experiments: downloads, images and tables."""
