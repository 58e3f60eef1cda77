"""What is told to experiment trackers, and how each of them is told. They read ledgers only."""
