"""The solver of the linear models: subsampled, preconditioned L-BFGS from the line S^-1 u."""
