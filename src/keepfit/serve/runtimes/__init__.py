"""Runtimes: what turns a Bundle into something that predicts, in the process which loads it.

Which process that is, `serve/loading.py` decides: one that is data (`inline`) may answer in the serving process.
"""
