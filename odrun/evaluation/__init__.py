"""checkpoint → metrics: detections in the validation images and their COCO scores."""
