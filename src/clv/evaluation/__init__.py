"""Proof: is the forecast right, and is it better than history.

`clv.evaluation.metrics` holds one function per metric, on plain arrays.
"""
