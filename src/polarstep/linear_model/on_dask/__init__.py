"""Fitting linear models to Dask collections, whose rows stay on the workers."""
