"""One file per question, each measured side by side with a peer or a physical limit in the same run."""
