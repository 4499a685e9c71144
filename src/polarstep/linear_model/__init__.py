"""Linear models with scikit-learn's interface, and the solver behind them."""
