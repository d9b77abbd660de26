"""Files and images to detections, and their pictures."""
