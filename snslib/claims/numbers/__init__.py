"""Numbers that criteria and chapters make of records: accuracies, layers, neurons, correlations."""
