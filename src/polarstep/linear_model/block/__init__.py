"""Many linear models on one X, which share every read of it: a block of models.

The models of a block differ in their row weights (folds, bootstrap samples), in their penalty (a
grid of C) or in the class that counts as positive (one against the rest), and each of them may have
several classes (softmax regression). One pass for all of them multiplies X by a matrix instead of a
vector, which costs a fraction of as many passes.

- `families`: the losses, on a tile of scores;
- `models`: which models a block consists of, and what came of them;
- `rows`: the data, and one pass over them;
- `preconditioner`: a metric for each model;
- `descent`: L-BFGS on all models at once, or `newton_cg` where it is slow;
- `small`: a compiled Newton method for models of few rows and columns;
- `solve`: `solve_block`, from a start on a subsample to the minimum on all rows.
"""
