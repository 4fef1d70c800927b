"""OpenADR 2.0a/2.0b virtual end node (VEN) with a compiled core."""
