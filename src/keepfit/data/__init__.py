"""What came: read, profile, schema, check."""
