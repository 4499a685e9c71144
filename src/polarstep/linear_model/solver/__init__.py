"""The solver of the linear models: subsampled, preconditioned L-BFGS from the line S^-1 u.

`whitened` explains the method and runs it. The other modules, in the order in which they build on
one another:

- the data: `kernels`, `matrix`, `dense_matrix`, `sparse_matrix`, `rare_columns`, `sampling`,
  `loss_sums` and `samples`, which implement the interface of `weighted_rows` for data in memory;
- the problem: `penalty`, `row_space` and `problem`;
- the metric: `columns` and `metric`;
- the iteration: `start`, `lbfgs`, `conjugate_gradients`, `newton_cg`, `small`, `stages` and
  `diagonal_descent`.
"""
