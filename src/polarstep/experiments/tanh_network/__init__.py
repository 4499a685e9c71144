"""The experiment on a network with one hidden layer, trained unit by unit (Theorem 3)."""
