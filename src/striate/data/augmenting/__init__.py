"""Random changes of training examples: pictures and clips, and sounds."""
