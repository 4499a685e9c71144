"""The experiment on plain networks trained in the metric of batch normalization."""
