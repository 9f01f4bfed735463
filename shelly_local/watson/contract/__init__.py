"""IBM's contract as values: its types, its failures, its options, its answer. No HTTP, no files."""
