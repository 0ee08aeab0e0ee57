"""Other runtimes behind the same calls: ONNX, OpenVINO."""
