"""The pictures of a painting at any size, their colours, and the regions that styles are for."""
