"""What changed: detectors, monitor, triggers."""
