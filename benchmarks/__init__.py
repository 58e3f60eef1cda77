"""Benchmarks beside peers: every figure is a ratio, measured in turn in one run."""
