"""Trained weights → ONNX files that ONNX Runtime reproduces."""
