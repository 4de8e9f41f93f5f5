"""The networks to paint with: VGG, and any other, by name, with their weights."""
