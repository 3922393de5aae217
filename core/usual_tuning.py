"""How an encoder is tuned where nobody asks for anything else: one place for engine and forms.

Plain numbers without torch, so that a process that only shows a form stays light. What they were
measured against: decision 0031.

Legend: none; every value says its unit.
"""

from __future__ import annotations

from typing import Final

BLOCKS: Final = 1  # last blocks that change; two did no better on phantoms, and cost more
PASTED: Final = 0.5  # copies with an artefact of another class, as a share of the cases
EPOCHS: Final = 4  # passes over the cases, at most
PATIENCE: Final = 3  # looks at the validation cases without a gain before it ends
RATE: Final = 1e-4  # peak learning rate
# Weights of the terms of the objective, see core.finetuning.losses.
CONTRIBUTION: Final = 0.02
COUNTERFACTUAL: Final = 1.0
AGREEMENT: Final = 0.5
ANCHOR: Final = 1.0
