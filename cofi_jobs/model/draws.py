"""Which users a step of training takes: parts of all users, in random order.

Users are shuffled within blocks of neighbours. So to draw among the users of a block, a worker must
know how many ratings these users have, and needs no such numbers of all users.
"""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.model.chunks import bounds

BLOCK = 1 << 16  # users of a block, by their row numbers


@dataclass(frozen=True)
class UserBlocks:
    """Whole blocks of users, in order, and which of these users are drawn."""

    counts: np.ndarray  # (n_users,) number of ratings of each user of the blocks
    first: int  # row number of the first of these users among all, a multiple of BLOCK
    drawn: slice  # those who are drawn; their numbers in a draw start at 0

    @classmethod
    def of_all(cls, counts: np.ndarray) -> "UserBlocks":
        """The blocks of all users, who are all drawn."""
        return cls(counts, 0, slice(0, len(counts)))


class UserDraws:
    """Draws of users without end; the users of all draws have about as many ratings.

    `n_parts` draws make a round through all users that have ratings. Each round has another order.
    """

    def __init__(self, blocks: UserBlocks, n_parts: int, seed: int) -> None:
        self.drawn, self.n_parts = blocks.drawn, n_parts
        self.blocks = [
            _Block(blocks.counts, start, n_parts, [seed, (blocks.first + start) // BLOCK])
            for start in range(0, len(blocks.counts), BLOCK)
        ]

    def users(self, number: int) -> np.ndarray:
        """The users of the draw of a number, counted from 0; there may be none.

        Any number can be asked for; it takes least time to ask for one after the other.
        """
        round_number, part = divmod(number, self.n_parts)
        users = np.concatenate(
            [np.empty(0, np.int64), *(block.part(round_number, part) for block in self.blocks)]
        )
        drawn = self.drawn
        return users[(users >= drawn.start) & (users < drawn.stop)] - drawn.start


class _Block:
    """A block of users in the order of one round."""

    def __init__(self, counts: np.ndarray, start: int, n_parts: int, seed: list[int]) -> None:
        self.counts = counts[start : start + BLOCK]
        self.start, self.n_parts, self.seed = start, n_parts, seed
        self._begin()

    def part(self, round_number: int, part: int) -> np.ndarray:
        """The users of one of the parts of a round."""
        if round_number < self.round:
            self._begin()
        while self.round < round_number:
            self._next_round()
        return self.shuffled[self.bounds[part] : self.bounds[part + 1]]

    def _begin(self) -> None:
        self.rng, self.round = np.random.default_rng(self.seed), -1

    def _next_round(self) -> None:
        users = self.rng.permutation(np.flatnonzero(self.counts))
        self.bounds = bounds(self.counts[users], self.n_parts)
        self.shuffled = users + self.start
        self.round += 1
