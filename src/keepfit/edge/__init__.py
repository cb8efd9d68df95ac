"""The doors: one file per OS process or door."""
