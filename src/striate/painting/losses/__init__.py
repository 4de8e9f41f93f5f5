"""What is minimised: style losses by name, their statistics over tiles, and their gradient."""
