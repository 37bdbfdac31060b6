"""What a model sees: pictures among ids become embeddings, and have places of their own.

The tower is frozen, as a rule of the house; so what it makes of a picture is made once and kept,
and sampling, scoring and training share it.  What comes after the tower (LLaVA's projector) is
computed at every pass, for it may learn.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.errors import BadModel
from accord.text.images import MOST_PLACES, PLACES, spans
from accord.text.pictures import KINDS

KEPT_BYTES = 1 << 30
"""of what the tower made of pictures; those looked at longest ago go first"""
PATCHES = 4096
"""that the tower looks at together, in whole pictures: its memory grows with them"""
Pixels = Callable[[Sequence[int]], Any]
"""names of pictures -> what the tower is given"""


class Family(Protocol):
    """How the kinds of models that see differ."""

    def parts(self) -> list[nn.Module]:
        """The tower: what never learns."""

    def see(self, given: Any) -> list[Tensor]:
        """[places, D] of each picture."""

    def project(self, seen_KD: Tensor) -> Tensor:
        """[K, width]: as the language model wants it."""

    def grid(self, given: Any) -> list[tuple[int, int] | None]:
        """(rows, columns) of each picture, where places have two sides."""

    def blank(self) -> Any:
        """What the tower would be given for as many pictures as it looks at together; None where
        that cannot be said.
        """

    @property
    def lot(self) -> int:
        """Pictures that the tower looks at together."""


@dataclass
class Llava:
    """A CLIP-like tower, of whose layers one is read, and a projector that may learn."""

    model: Any

    def parts(self) -> list[nn.Module]:
        """The tower alone."""
        return [self.model.model.vision_tower]

    def see(self, given: Any) -> list[Tensor]:
        """Hidden states of one layer, without the class token where the config says so."""
        tower, config = self.parts()[0], self.model.config
        pixels = given["pixel_values"].to(self.model.device, next(tower.parameters()).dtype)
        layers = config.vision_feature_layer
        states = tower(pixels, output_hidden_states=True).hidden_states
        first = int(config.vision_feature_select_strategy == "default")
        picked = [states[i][:, first:] for i in ([layers] if isinstance(layers, int) else layers)]
        return list(torch.cat(picked, -1))

    def project(self, seen_KD: Tensor) -> Tensor:
        """Place by place."""
        projected: Tensor = self.model.model.multi_modal_projector(seen_KD)
        return projected

    def grid(self, given: Any) -> list[tuple[int, int] | None]:
        """Its places are numbered like those of text."""
        return [None] * len(given["pixel_values"])

    def blank(self) -> Any:
        """Pictures of the one size that there is."""
        sight = self.model.config.vision_config
        shape = (self.lot, sight.num_channels, sight.image_size, sight.image_size)
        return {"pixel_values": torch.zeros(shape)}

    @property
    def lot(self) -> int:
        """All pictures have as many patches."""
        sight = self.model.config.vision_config
        return max(1, PATCHES // (sight.image_size // sight.patch_size) ** 2)


@dataclass
class Qwen:
    """A tower with its merger, for pictures of any size; places have a row and a column."""

    model: Any

    def parts(self) -> list[nn.Module]:
        """Tower and merger."""
        return [self.model.model.visual]

    def see(self, given: Any) -> list[Tensor]:
        """What the merger makes of each."""
        tower, grid = self.parts()[0], given["image_grid_thw"].to(self.model.device)
        pixels = given["pixel_values"].to(self.model.device, next(tower.parameters()).dtype)
        out = tower(pixels, grid_thw=grid).pooler_output
        merged = self.model.config.vision_config.spatial_merge_size**2
        return list(out.split((grid.prod(-1) // merged).tolist()))

    def project(self, seen_KD: Tensor) -> Tensor:
        """The merger has done it."""
        return seen_KD

    def grid(self, given: Any) -> list[tuple[int, int] | None]:
        """After the merger."""
        side = self.model.config.vision_config.spatial_merge_size
        return [(h // side, w // side) for _, h, w in given["image_grid_thw"].tolist()]

    def blank(self) -> Any:
        """None: its way hangs on the sizes of pictures, and cannot be gone without them."""

    @property
    def lot(self) -> int:
        """One: a picture may be large."""
        return 1


@dataclass
class _Kept:
    """What the tower made of pictures, and how they lie; shared by all copies of a model."""

    seen: "OrderedDict[int, Tensor]" = field(default_factory=OrderedDict)
    grids: dict[int, tuple[int, int] | None] = field(default_factory=dict)
    held: int = 0
    looks: int = 0
    """pictures that the tower looked at, those again that had gone"""

    def __deepcopy__(self, memo: Any) -> "_Kept":
        return self


class Eyes:
    """Embeddings and places of ids, some of which are pictures."""

    def __init__(self, model: PreTrainedModel, pixels: Pixels):
        self.model, self.pixels, self.kept = model, pixels, _Kept()
        self.family: Family = family(model)

    def embed(self, ids_N: Tensor) -> Tensor:
        """[N, width] of tokens and pictures."""
        seen_N = ids_N < 0
        embedded_NW = self.model.get_input_embeddings()(ids_N.clamp(min=0))
        if not bool(seen_N.any()):
            return embedded_NW  # type: ignore[no-any-return]
        shown_KW = self.family.project(self._rows(ids_N[seen_N])).to(embedded_NW.dtype)
        return embedded_NW.masked_scatter(seen_N[:, None], shown_KW)  # type: ignore[no-any-return]

    def _rows(self, ids_K: Tensor) -> Tensor:
        """[K, D]: what the tower made of each place."""
        code_K = -1 - ids_K
        names, which_K = (code_K >> PLACES).unique(return_inverse=True)
        names = names.tolist()
        self.look(names)
        counts = torch.tensor([len(self.kept.seen[name]) for name in names], device=ids_K.device)
        place_K = code_K % MOST_PLACES
        if bool((place_K >= counts[which_K]).any()):
            raise BadModel(
                "a picture was spelled with more places than the tower gives it: the processor in "
                "the model's folder is not the one of its config"
            )
        start = counts.cumsum(0) - counts
        # copies on other devices keep theirs beside ours
        every = torch.cat([self.kept.seen[name].to(ids_K.device) for name in names])
        return every[start[which_K] + place_K]

    @torch.no_grad()
    def look(self, names: Sequence[int]) -> None:
        """Have what the tower makes of these pictures at hand."""
        kept = self.kept
        for name in names:
            if name in kept.seen:
                kept.seen.move_to_end(name)
        new = [name for name in names if name not in kept.seen]
        for at in range(0, len(new), self.family.lot):
            lot = new[at : at + self.family.lot]
            given = self._given(lot)
            sights = zip(lot, self.family.see(given), self.family.grid(given), strict=True)
            for name, seen, grid in sights:
                # of its own: a part of the lot's would hold the whole lot when the others go
                kept.seen[name], kept.grids[name] = seen.clone(), grid
                kept.held += seen.nbytes
                kept.looks += 1
        while kept.held > KEPT_BYTES and len(kept.seen) > len(names):
            name, gone = kept.seen.popitem(last=False)
            kept.held -= gone.nbytes
            del kept.grids[name]

    def _given(self, names: Sequence[int]) -> dict[str, Tensor]:
        """What the tower is given, of pictures that are read one by one: before they are made
        small, some of them fill a gigabyte each.
        """
        first: dict[str, Tensor] = self.pixels(names[:1])
        if len(names) == 1:
            return first
        given = {key: one.new_empty(len(names), *one.shape[1:]) for key, one in first.items()}
        for n, name in enumerate(names):
            for key, one in (self.pixels([name]) if n else first).items():
                given[key][n] = one[0]
        return given

    # --- places with two sides ---

    @property
    def sided(self) -> bool:
        """Whether the places of pictures have a row and a column (M-RoPE, Wang et al. 2024)."""
        return isinstance(self.family, Qwen)

    def places(self, ids_N: Tensor, place_N: Tensor) -> tuple[Tensor, Tensor]:
        """(place_3N, back_N): where each token stands in time, height and width; and by how much
        less far than its index the text after a picture is, for a picture of H x W places takes
        max(H, W) of the way.

        Sequences begin where `place_N` is 0; branches follow their stem, which holds the pictures.
        """
        place_3N = place_N.expand(3, -1).clone()
        back_N = torch.zeros_like(place_N)
        starts = (place_N == 0).nonzero()[:, 0].tolist()
        pictures = spans(ids_N.tolist())
        self.look(list(dict.fromkeys(span.name for span in pictures)))  # together, as they lie
        for first, beyond in zip(starts, [*starts[1:], len(ids_N)], strict=True):
            back, last = 0, first
            for at, name, count in (span for span in pictures if first <= span.start < beyond):
                place_3N[:, last:at] -= back
                back_N[last:at] = back
                grid = self.kept.grids[name]
                assert grid is not None  # of models whose places are sided
                rows, columns = grid
                here = place_N[at] - back
                step = torch.arange(count, device=ids_N.device)
                place_3N[0, at : at + count] = here
                place_3N[1, at : at + count] = here + step // columns
                place_3N[2, at : at + count] = here + step % columns
                back += count - max(rows, columns)
                last = at + count
            place_3N[:, last:beyond] -= back
            back_N[last:beyond] = back
        return place_3N, back_N


def family(model: PreTrainedModel) -> Family:
    """How this model sees."""
    kind = model.config.model_type
    if kind not in KINDS:
        raise BadModel(f"{kind} reads text alone; of models that see, {', '.join(KINDS)} run here")
    return Llava(model) if kind == "llava" else Qwen(model)


def tower(model: PreTrainedModel) -> list[nn.Module]:
    """The parts that see and never learn; none where a model reads text alone."""
    return family(model).parts() if model.config.model_type in KINDS else []
