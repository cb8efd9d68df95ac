"""What next: plan, perform, replay, pipeline, executors, targets."""
