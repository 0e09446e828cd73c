"""The commands, one module each with a function `run`, and what several of them share."""
