"""Shipped files at work: imports numpy, onnxruntime and Pillow, and nothing heavier."""
