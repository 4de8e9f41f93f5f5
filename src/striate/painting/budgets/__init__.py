"""What a painting may take: levels and steps in a given time, tiles in a given memory."""
