"""Onboard: any model file or folder becomes a Bundle that is known to answer, or is refused with the reason."""
