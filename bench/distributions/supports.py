"""The former name of `bench.distributions.line_rules`."""

from estimators.deprecation import moved

__getattr__ = moved(__name__, "bench.distributions.line_rules", until="0.3")
