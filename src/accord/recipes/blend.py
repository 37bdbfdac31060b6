"""Several losses as one, said in a word."""

from typing import get_args

from accord.errors import BadSettings
from accord.maths.answers import Direct
from accord.maths.direct import Mixture, Single

LOSSES = {kind.__name__: kind for kind in get_args(Single)}


def blended(loss: Single, mix: str) -> Direct:
    """`loss` with weight 1, and "0.2*BCO,1*NLL" beside it, each as it is by default."""
    if not mix:
        return loss
    losses, weights = [loss], [1.0]
    for part in mix.split(","):
        weight, star, name = part.partition("*")
        name = name.strip()
        try:
            weights.append(float(weight))
        except ValueError:
            star = ""
        if not star or name not in LOSSES or weights[-1] <= 0:
            raise BadSettings(
                f"mix={mix}: {part.strip()!r} is not a weight above 0 and a loss, as 0.2*BCO; "
                f"there are {', '.join(LOSSES)}"
            )
        losses.append(LOSSES[name]())
    return Mixture(tuple(losses), tuple(weights))
