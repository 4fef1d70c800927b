"""Differential fuzzing: one harness (``oracle.verdict``) under three drivers.

Hypothesis in the suite (tests/test_*_against_lxml.py), the mutational loop (``python -m fuzzing``) and
the coverage-guided one (``native.py``). docs/fuzzing.md says how to run them and what is compared.
"""
