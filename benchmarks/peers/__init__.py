"""What a user would run instead, configured from each project's own documentation."""
