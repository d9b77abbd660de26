"""Who is told how a run goes: a JSON Lines file, TensorBoard, Weights & Biases."""
