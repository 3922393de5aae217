"""Views as cases of the generic loop: prefixes in, with regions, copies and anchors beside them.

Legend: I cases of this source; B cases of a batch; T tokens, class token first; P patches = T - 1;
W width; D embedding; N concepts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ConfigError
from core.finetuning.examples import Batch
from core.finetuning.views import TuneCase, Views


class TowerCases:
    """The learnt (or the held-out) cases of some views. A `core.finetuning.examples.Source`.

    Learnt cases are followed by the pasted copies. A pasted copy rejects what was pasted, and what
    was rejected in its receiver; its filled copy is the receiver without it.

    Args:
        views: as `make_views` made them.
        concepts: N.
        held: the held-out cases instead of the learnt ones; no pasted copies there.
        anchored: whether batches carry the tokens of before.

    Raises:
        ConfigError: there is no such case.
    """

    def __init__(
        self, views: Views, concepts: int, *, held: bool = False, anchored: bool = True
    ) -> None:
        self._views, self._concepts, self._anchored = views, concepts, anchored
        own = [i for i, case in enumerate(views.cases) if case.held == held]
        pairs = [] if held else list(range(len(views.pairs)))
        if not own:
            raise ConfigError("there is no case to learn from")
        self._names = [views.whole(i) for i in own] + [views.pasted(k) for k in pairs]
        receivers = [views.pairs[k][0] for k in pairs]
        self._cases = [views.cases[i] for i in (*own, *receivers)]
        self._donors: list[TuneCase | None] = [None] * len(own)
        self._donors += [views.cases[views.pairs[k][1]] for k in pairs]
        self._copies = [self._copy_of(i) for i in (*own, *receivers)]
        self.identity = f"{views.identity} {'held' if held else 'learnt'} {anchored}"

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def labels_I(self) -> Tensor:
        """Class of each case, int64 [I]."""
        return torch.tensor([case.label for case in self._cases])

    @property
    def weight_I(self) -> Tensor:
        """Weight of each case, float32 [I]."""
        return torch.tensor([case.weight for case in self._cases], dtype=torch.float32)

    @property
    def marked_I(self) -> NDArray[np.bool_]:
        """Whether anything is rejected in each case."""
        pairs = zip(self._cases, self._donors, strict=True)
        return np.array([c.marked or donor is not None for c, donor in pairs], np.bool_)

    def take(self, rows_B: NDArray[np.int64]) -> Batch:
        """Prefixes [B, T, W] of these rows with all that the losses may want."""
        views, rows = self._views, [int(row) for row in rows_B]
        region_BP = torch.from_numpy(np.stack([self._region(row) for row in rows]))
        first_B1 = torch.zeros(len(rows), 1, dtype=torch.bool)  # the class token is no patch
        names = [self._names[row] for row in rows]
        return Batch(
            inputs=views.prefixes.rows(names),
            labels_B=torch.tensor([self._cases[row].label for row in rows]),
            weight_B=torch.tensor([self._cases[row].weight for row in rows], dtype=torch.float32),
            rejected=torch.cat([first_B1, region_BP], dim=1)[:, :, None],
            filled=views.prefixes.rows([self._copies[row] for row in rows]),
            region_BP=region_BP,
            concepts_BN=torch.from_numpy(np.stack([self._rejected(row) for row in rows])),
            anchor_BPD=views.anchors.rows(names) if self._anchored else None,
        )

    def tokens_before(self, rows: Sequence[int]) -> Tensor:
        """Tokens of before, float32 [B, P, D]."""
        return self._views.anchors.rows([self._names[row] for row in rows])

    def _copy_of(self, case: int) -> str:
        views = self._views
        return views.filled(case) if views.cases[case].marked else views.whole(case)

    def _region(self, row: int) -> NDArray[np.bool_]:
        """What is rejected in a row, bool [P]."""
        case, donor = self._cases[row], self._donors[row]
        patches = len(self._views.anchors.half(self._names[row]))
        region_P = np.zeros(patches, np.bool_)
        if donor is not None and donor.rejected_P is not None:
            region_P |= donor.rejected_P
            if case.accepted_P is not None:
                region_P &= ~case.accepted_P
        if case.rejected_P is not None:
            region_P |= case.rejected_P
        return region_P

    def _rejected(self, row: int) -> NDArray[np.bool_]:
        """Which concepts are rejected in a row, bool [N]; all where nobody said which."""
        sources = [case for case in (self._cases[row], self._donors[row]) if case is not None]
        found_N = np.zeros(self._concepts, np.bool_)
        for case in sources:
            if case.marked:
                found_N[slice(None) if case.concepts is None else list(case.concepts)] = True
        return found_N
