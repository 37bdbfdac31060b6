"""What can go wrong for a user, said in one sentence, with the exit code a script can rely on."""


def first_line(error: Exception) -> str:
    """What the error of a library says, without the advice that follows; or else its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class AccordError(Exception):
    """A mistake or mishap that a person can mend.  The message says what, where and what to do."""

    exit_code = 1


class BadSettings(AccordError):
    """A setting that does not exist, does not parse, or contradicts another."""

    exit_code = 2


class BadData(AccordError):
    """A file, line or row that cannot be used; the message names it."""

    exit_code = 3


class BadModel(AccordError):
    """A model folder that is missing, broken, or of a kind that cannot work here."""

    exit_code = 4


class RunMismatch(AccordError):
    """The run folder belongs to other settings, another model, or other data."""

    exit_code = 5


class NotFinite(AccordError):
    """A NaN or an infinity, caught at the first step it appeared."""

    exit_code = 6


class CannotWrite(AccordError):
    """Disk full, read-only folder, or a folder that another process holds."""

    exit_code = 7


class MissingExtra(AccordError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    exit_code = 8


class NoAnswer(AccordError):
    """A server that cannot be reached, or that answers what nobody can read."""

    exit_code = 9


class TooLittleMemory(AccordError):
    """Memory ran out with the least that can be computed at once."""

    exit_code = 10


class BudgetSpent(AccordError):
    """What asking a model may cost is spent; what was answered by then is kept."""

    exit_code = 11
