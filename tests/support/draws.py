"""Random numbers that are not random: the ends of the range that the code draws from."""

import random


class LowestDraw(random.Random):
    """Draws the lower end of a range."""

    def uniform(self, a: float, b: float) -> float:
        """Return the lower end."""
        return min(a, b)


class HighestDraw(random.Random):
    """Draws the upper end of a range."""

    def uniform(self, a: float, b: float) -> float:
        """Return the upper end."""
        return max(a, b)
