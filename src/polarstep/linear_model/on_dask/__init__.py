"""Linear models on Dask collections whose rows stay on the workers."""
