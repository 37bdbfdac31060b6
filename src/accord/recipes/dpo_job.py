"""Preference learning as a stage and as a command: comparisons in, a policy out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from accord.data.comparisons import Spelled, fingerprint, spell_pairs, spell_ratings, split
from accord.engine.reference import Reference, kept
from accord.engine.roles import Policy
from accord.recipes import dpo, preferred
from accord.recipes.blend import blended
from accord.recipes.job import Desk, Heard, Job, opened, origins, read
from accord.recipes.stage import Made, Place, Work, carry_out, room_in
from accord.records import Comparison, Rating
from accord.store.artifact import Artifact
from accord.store.run import Run


class PreferenceJob(Heard, Job):
    """Learn a policy from the comparisons of a file, at once."""

    out: Path = Path("runs/dpo")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    data: Path
    """comparisons or ratings: a file, folder or hub id, as in docs/data.md; or STORE#STUDY"""
    kind: Literal["comparisons", "ratings"] = "comparisons"
    """ratings: single answers that are good or bad, for loss=KTO, BCO, NLL"""


def preference_stage(
    place: Place,
    cfg: dpo.Preference,
    start: Policy,
    judged: Sequence[Comparison] | Sequence[Rating],
    *,
    parents: Sequence[Artifact] = (),
) -> Made[Policy]:
    """A policy that agrees with comparisons, or with ratings of single answers, as `<out>/policy`.

    What the reference says of the answers is kept in `<out>/reference`.
    """
    rated = bool(judged) and isinstance(judged[0], Rating)
    spell: Any = spell_ratings if rated else spell_pairs
    rows, tally = spell(judged, start.speller, room_in(cfg.longest, start))
    place.check(tally, "ratings" if rated else "comparisons")
    preferred.suits(cfg.objective, rows)
    train, held_out = split(rows, cfg.held_out, seed=place.seed)

    work = Work("policy", place, cfg, start, fingerprint(judged), tuple(parents))

    def make(run: Run) -> tuple[Policy, dict[str, float]]:
        place.parted(train, held_out, cfg)

        def refer(reference: Policy, few: Sequence[Spelled]) -> Reference:
            return kept(place.out / "reference", reference, few, preferred.refer, work.dtype)

        loss = cfg.objective
        ref = refer(start, train) if loss.needs_reference else preferred.told_by(start, train, loss)
        ref_held = refer(start, held_out)
        made = dpo.train(
            cfg, run, start, train, held_out, reference=(ref, ref_held), seed=place.seed
        )
        numbers = preferred.measure(made, held_out, ref_held)
        if said := preferred.displaced(numbers):
            place.tell(said)
        return made, numbers

    return carry_out(work, Policy, make)


def run_dpo(desk: Desk, job: PreferenceJob, cfg: dpo.Preference) -> Made[Policy]:
    """accord dpo"""
    place = desk.place(job)
    blended(cfg.loss, cfg.mix)  # a typo costs no minute
    judged = read(place, job, job.data, job.kind)
    return preference_stage(place, cfg, opened(job), judged, parents=origins(job.data, place))
