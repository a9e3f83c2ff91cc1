"""Lists of estimators, distributions, objectives, metrics and suites, and which of them fit together."""
