"""What is known: blobs, ledger, streams."""
