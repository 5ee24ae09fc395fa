"""What users gave: ratings, or events (likes, clicks, plays, purchases), which have no scale."""

from typing import Literal

Feedback = Literal["ratings", "events"]
