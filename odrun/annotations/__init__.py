"""Files to model: labelled images as people have them, read, checked and split; no TensorFlow, YAML or protobuf."""
