"""What `pushforward inspect` finds and draws."""
