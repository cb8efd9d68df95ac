"""What is new: learners, bundles, conversion."""
