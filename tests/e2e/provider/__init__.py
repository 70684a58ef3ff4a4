"""The parts of the stand-in provider (standin.py): its wire, its checks, its answers and its ways to misbehave."""
