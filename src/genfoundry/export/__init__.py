"""Trained weights → ONNX files that ONNX Runtime reproduces."""

GATE = "gate.json"  # beside a run's files: how near they are to torch, and which smaller forms are not near enough
