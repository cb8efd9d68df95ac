"""`keepfit demo`: a year of real flights through the whole loop."""

from keepfit.edge.demo.play import main

__all__ = ["main"]
