"""What a network sees of pictures, sounds and clips: fitted in training, saved with the network."""
