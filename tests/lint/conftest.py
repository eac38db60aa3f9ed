"""What the linter is tried on is code to look at: some of it looks like tests."""

collect_ignore = ["corpus", "fixtures"]
