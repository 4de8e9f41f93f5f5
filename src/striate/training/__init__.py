"""Teach a network: every choice, the optimiser, the loop, and the run it leaves."""
