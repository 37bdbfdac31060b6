"""What happened, in plain words.  Every sentence follows from a number, the unwelcome ones too."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from accord.evaluate.outcome import FEWEST_PAIRS, Outcome, Summary
from accord.evaluate.winrate import WinRate
from accord.evaluate.words import count, digits, duration, percent, signed
from accord.maths.intervals import Estimate

Tone = Literal["better", "unclear", "mixed", "worse", "over-optimised", "strayed"]
LESS_VARIED = 0.75
"""share of its variety below which a policy is said to repeat itself"""


@dataclass(frozen=True, slots=True)
class Subject:
    """The words for what was written and wanted."""

    one: str = "answer"
    many: str = "answers"
    prompts: str = "prompts"
    rule: str = "the true rule"
    """who is right, as in: by ..., the mean score rose"""
    wants: str = ""
    """what that rule looks for"""
    card: str = "True rule"
    """that rule, as the label of a number"""
    mark: str = "rule"
    """that rule, beside each answer"""
    same: str = "The same prompt, answered"
    """what stands before: by the model as it was and as it is"""


ANSWERS = Subject()


@dataclass(frozen=True, slots=True)
class Told:
    """The outcome as a word, a sentence, and a few paragraphs."""

    tone: Tone
    verdict: str
    paragraphs: tuple[str, ...]


def tell(outcome: Outcome, subject: Subject = ANSWERS) -> Told:
    """Say what training did, and how sure that is."""
    base = _base(outcome)
    sentence = _plainly(outcome, base)
    tone: Tone = base
    if outcome.overoptimised:
        tone, sentence = "over-optimised", _overoptimised(outcome, base)
    elif outcome.strayed:
        tone, sentence = "strayed", _strayed(outcome, base)
    parts = (_compared, _measured, _agreed, _moved, _warned)
    paragraphs = (" ".join(part(outcome, subject)) for part in parts)
    return Told(tone, sentence, tuple(p for p in paragraphs if p))


def _base(outcome: Outcome) -> Literal["better", "unclear", "mixed", "worse"]:
    wins, change = outcome.wins, outcome.change
    if outcome.doubt:
        return "unclear"
    up = (wins.low > 0.5, change.low > 0)
    down = (wins.high < 0.5, change.high < 0)
    if any(up) and any(down):
        return "mixed"
    if all(up):
        return "better"
    if any(down):
        return "worse"
    return "mixed" if any(up) else "unclear"


def _wins(outcome: Outcome) -> str:
    wins = outcome.wins
    return (
        f"the model's win rate against its former self is {percent(wins.rate)} "
        f"(95% interval {_range(wins)}; 50% would be no change)"
    )


def _evidence(outcome: Outcome, base: str) -> str:
    """The win rate, and the mean score too where the win rate alone does not carry the verdict."""
    wins, change = _wins(outcome), f"its mean score changed by {_estimate(outcome.change)}"
    if base == "mixed":
        return f"{wins}, while {change}"
    if base == "worse" and outcome.wins.high >= 0.5:
        return f"{change}, though {wins}"
    return wins


def _plainly(outcome: Outcome, base: str) -> str:
    evidence = _evidence(outcome, base)
    if base == "better":
        return f"The model got better: {evidence}."
    if base == "worse":
        return f"The model got worse: {evidence}."
    if base == "mixed":
        return f"A mixed result: {evidence}. The two do not clearly point the same way."
    if not outcome.doubt:
        return f"No clear change: {evidence}, and that interval includes 50%."
    pairs, invalid = outcome.wins.count, outcome.wins.invalid
    why = (
        f"a verdict takes at least {FEWEST_PAIRS} pairs"
        if outcome.doubt == "few"
        else f"{invalid:,} of {count(pairs + invalid, 'pair')} could not be judged, too many to "
        "rely on the others"
    )
    return f"No clear change can be claimed: {evidence}, and {why}."


def _overoptimised(outcome: Outcome, base: str) -> str:
    still = {
        "better": "It is still better than at the start, but past its best",
        "worse": "It is now worse than at the start",
        "mixed": "Against the start the result is mixed",
        "unclear": "It is not clearly better than at the start",
    }[base]
    stray = f" It also strayed far, {digits(outcome.kl)} nats." if outcome.strayed else ""
    late = outcome.parting is not None and outcome.parting.found
    when = "in the later half of training" if late else "from start to end"
    return (
        f"Over-optimised: {when} the reward model's score rose while the true score fell. "
        f"{still}: {_evidence(outcome, base)}.{stray}"
    )


def _strayed(outcome: Outcome, base: str) -> str:
    still = {
        "better": "It does win more",
        "worse": "It also got worse",
        "mixed": "Its result is mixed",
        "unclear": "It is not clearly better either",
    }[base]
    return (
        f"The model strayed far from where it started: {digits(outcome.kl)} nats per answer, and "
        f"{digits(outcome.kl_limit)} is what this report calls far. {still}: "
        f"{_evidence(outcome, base)}."
    )


def _compared(outcome: Outcome, subject: Subject) -> Iterator[str]:
    wins = outcome.wins
    rule = f"{subject.rule} ({subject.wants})" if subject.wants else subject.rule
    yield (
        f"The model answered the same {subject.prompts} before and after training, and "
        f"{rule} judged {count(wins.count, 'pair')}: the newer {subject.one} was better in "
        f"{wins.wins:,}, neither in {wins.ties:,}, the older one in {wins.losses:,}."
    )
    if wins.ties:
        yield f"With ties as half a win that makes {percent(wins.rate)}."
    yield (
        f"Other {subject.prompts} would give another number, hence the interval: of a hundred such "
        "comparisons, about 95 give one that holds the rate over all of them."
    )


def _measured(outcome: Outcome, subject: Subject) -> Iterator[str]:
    before, after, change = outcome.before, outcome.after, outcome.change
    verb = "rose" if change.low > 0 else "fell" if change.high < 0 else "did not clearly change"
    yield (
        f"The mean score by {subject.rule} {verb}: {digits(before.true)} before, "
        f"{digits(after.true)} after, a change of {_estimate(change)}."
    )
    if before.ended is not None and after.ended is not None:
        yield (
            f"{percent(before.ended)} of the {subject.many} came to their own end before, "
            f"{percent(after.ended)} do now."
        )
    if before.length and after.length:
        yield f"The mean length went from {before.length:.0f} to {after.length:.0f} tokens."


def _agreed(outcome: Outcome, subject: Subject) -> Iterator[str]:
    change = outcome.learned_change
    if change is None:
        return
    verb = "rose" if change.low > 0 else "fell" if change.high < 0 else "did not clearly change"
    yield (
        "Training did not use that score. It followed the reward model, whose score "
        f"{verb} from {digits(outcome.before.learned)} to {digits(outcome.after.learned)}."
    )
    if outcome.pearson is not None:
        yield (
            f"Over all {subject.many} the two agree {_strength(outcome.pearson)} "
            f"(correlation {digits(outcome.pearson)})."
        )
    if change.low > 0 and outcome.change.low <= 0 and not outcome.overoptimised:
        yield (
            "The learned score rose without a clear gain in the true one: what the model learned "
            f"to please may not be quite what was meant, or these {subject.prompts} are too few to "
            "show the gain."
        )


def _moved(outcome: Outcome, subject: Subject) -> Iterator[str]:
    if outcome.kl is None:
        return
    yield (
        f"The model ended {digits(outcome.kl)} nats per {subject.one} from where it started (KL "
        f"divergence: the mean log-ratio of how likely the new and the old model find what the "
        f"new one writes; 0 means unchanged)."
    )
    if outcome.strayed:
        yield (
            f"That is beyond {digits(outcome.kl_limit)}: it now writes texts unlike those it wrote "
            "before, of which the reward model learned. Raise the price of KL or train for fewer "
            "steps."
        )
    elif outcome.kl_target is not None:
        yield f"The target was {digits(outcome.kl_target)}."


def _warned(outcome: Outcome, subject: Subject) -> Iterator[str]:
    parting, wins = outcome.parting, outcome.wins
    if parting is not None and parting.found:
        yield (
            f"From step {parting.since} on the learned reward rose by {digits(parting.learned)} "
            f"while the true score fell by {digits(-parting.true)}: stop earlier, raise the price "
            "of KL, or have people judge answers of the trained model."
        )
    elif outcome.overoptimised:
        yield (
            "The learned reward ended higher and the true score lower than at the start: have "
            "people judge answers of the trained model, and learn the reward again."
        )
    if _repeats(outcome.before, outcome.after):
        yield (
            f"Its {subject.many} have become more alike: of equally many words, "
            f"{percent(outcome.before.distinct_2)} of the word pairs were different before, "
            f"{percent(outcome.after.distinct_2)} are now."
        )
    if wins.invalid:
        doubt = outcome.doubt == "invalid"
        yield (
            f"{count(wins.invalid, 'pair')} could not be judged and counted for neither side"
            + ("; that is too many for a result to rely on." if doubt else ".")
        )


def _repeats(before: Summary, after: Summary) -> bool:
    if before.distinct_2 is None or after.distinct_2 is None:
        return False
    return after.distinct_2 < LESS_VARIED * before.distinct_2


def _estimate(change: Estimate) -> str:
    low, high = signed(change.low), signed(change.high)
    return f"{signed(change.value)} (95% interval {low} to {high})"


def _strength(correlation: float) -> str:
    if correlation <= -0.2:
        return "not at all, they even oppose each other"
    limits = ((0.7, "well"), (0.4, "fairly well"), (0.2, "weakly"), (-0.2, "hardly at all"))
    return next(word for limit, word in limits if correlation >= limit)


@dataclass(frozen=True, slots=True)
class Key:
    """A number worth a card: what it is, what it is now, what it was, what to know about it."""

    label: str
    now: str
    was: str = ""
    note: str = ""


def _range(wins: WinRate) -> str:
    return f"{_end(wins.low).removesuffix('%')}–{_end(wins.high)}"


def _end(x: float) -> str:
    """An end of the interval; on which side of chance it lies must show."""
    if percent(x) != "50%" or x == 0.5:
        return percent(x)
    close = f"{100 * x:.1f}%"
    return close if close != "50.0%" else f"just {'over' if x > 0.5 else 'under'} 50%"


def keys(outcome: Outcome, seconds: float | None = None, subject: Subject = ANSWERS) -> list[Key]:
    """The numbers a reader looks for first; those that were not measured are left out."""
    before, after, wins, change = outcome.before, outcome.after, outcome.wins, outcome.change
    found = [
        Key("Win rate", percent(wins.rate), "", f"95% interval {_range(wins)}"),
        Key(
            subject.card,
            digits(after.true),
            digits(before.true),
            f"change {signed(change.low)} to {signed(change.high)}",
        ),
    ]
    if after.learned is not None:
        was = digits(before.learned)
        found.append(Key("Learned reward", digits(after.learned), was, "what training followed"))
    if outcome.kl is not None:
        target = outcome.kl_target
        note = "nats per answer" + (f", target {digits(target)}" if target is not None else "")
        found.append(Key("Distance (KL)", digits(outcome.kl), "", note))
    if after.ended is not None:
        found.append(Key("Ended in time", percent(after.ended), percent(before.ended)))
    if after.length is not None and before.length is not None:
        found.append(Key("Length", f"{after.length:.0f}", f"{before.length:.0f}", "tokens, mean"))
    if after.distinct_2 is not None:
        was = percent(before.distinct_2)
        found.append(Key("Variety", percent(after.distinct_2), was, "of word pairs are different"))
    if seconds is not None:
        found.append(Key("Time", duration(seconds), "", "from start to report"))
    return found
