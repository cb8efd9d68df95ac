"""Report: a Profile as JSON, on a terminal, as a page."""
