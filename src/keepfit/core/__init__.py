"""The words: nouns, facts, protocols, errors. Imports nothing of ours."""
