"""What became of every row: kept, or dropped for a reason, with the first examples of each."""

from collections import Counter

from accord.errors import BadData

EXAMPLES = 3
"""kept of each reason"""


class Tally:
    """Counts rows.  Nothing is dropped without being counted here."""

    def __init__(self) -> None:
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()
        """what was left out of rows that are kept"""
        self.examples: dict[str, list[str]] = {}

    def keep(self, count: int = 1) -> None:
        """Rows that are used."""
        self.kept += count

    def drop(self, reason: str, example: str) -> None:
        """A row that is not; the example says where it is and what is wrong."""
        self.dropped[reason] += 1
        self._show(reason, example)

    def note(self, reason: str, example: str) -> None:
        """A part left out of a row that is kept."""
        self.noted[reason] += 1
        self._show(reason, example)

    def _show(self, reason: str, example: str) -> None:
        seen = self.examples.setdefault(reason, [])
        if len(seen) < EXAMPLES:
            seen.append(example)

    @property
    def total(self) -> int:
        """Rows seen."""
        return self.kept + self.dropped.total()

    def __add__(self, other: "Tally") -> "Tally":
        """Two tallies of different rows as one."""
        both = Tally()
        both.kept = self.kept + other.kept
        both.dropped = self.dropped + other.dropped
        both.noted = self.noted + other.noted
        for examples in (self.examples, other.examples):
            for reason, seen in examples.items():
                both.examples[reason] = (both.examples.get(reason, []) + seen)[:EXAMPLES]
        return both

    def lines(self, unit: str = "rows") -> list[str]:
        """The table, most frequent reason first."""
        share = f" ({self.dropped.total() / self.total:.1%})" if self.dropped else ""
        table = [f"{self.kept} of {self.total} {unit} kept, {self.dropped.total()} dropped{share}"]
        for reason, count in self.dropped.most_common():
            table.append(f"{count:>7}  {reason}")
            table += [f"         {example}" for example in self.examples[reason]]
        if self.noted:
            table.append(f"{self.noted.total()} parts left out of {unit} that are kept")
        for reason, count in self.noted.most_common():
            table.append(f"{count:>7}  {reason}")
            table += [f"         {example}" for example in self.examples[reason]]
        return table

    def check(self, limit: float = 0.05) -> "Tally":
        """Itself; BadData where nothing was kept or a share above `limit` was dropped."""
        if not self.total:
            raise BadData("there are no rows at all")
        if self.kept and self.dropped.total() <= limit * self.total:
            return self
        table = "\n".join(self.lines())
        if not self.kept:
            raise BadData(f"not one row can be used: {table}")
        raise BadData(f"too many rows cannot be used (the limit is {limit:.0%}): {table}")

    def __repr__(self) -> str:
        return f"Tally({self.lines()[0]})"
