"""The rating scale of a store."""

Scale = tuple[float, float]  # lowest and highest rating
