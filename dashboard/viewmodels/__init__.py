"""What the screens show: frozen, plain, no tensors, no sessions.

Services build these; screens pass them to views and components, which may read nothing else.
"""

from dashboard.viewmodels.concepts import ConceptRow, ConceptView, ExampleView, NameEvent
from dashboard.viewmodels.desk import (
    AssessmentView,
    CaseView,
    ClassSetView,
    CueView,
    FlipView,
    NodeView,
    RegionView,
    VerdictView,
)
from dashboard.viewmodels.marks import (
    CriterionView,
    DrawingView,
    LayerView,
    NoteView,
    PeerView,
)
from dashboard.viewmodels.projects import ProjectView
from dashboard.viewmodels.queue import PlaceView, QueueRow
from dashboard.viewmodels.runs import MetricRow, RunView, VersionView
from dashboard.viewmodels.what_if import LeverView, WhatIfView
from dashboard.viewmodels.words import REASONS, RunState, Scope, VerdictValue

__all__ = [
    "REASONS",
    "AssessmentView",
    "CaseView",
    "ClassSetView",
    "ConceptRow",
    "ConceptView",
    "CriterionView",
    "CueView",
    "DrawingView",
    "ExampleView",
    "FlipView",
    "LayerView",
    "LeverView",
    "MetricRow",
    "NameEvent",
    "NodeView",
    "NoteView",
    "PeerView",
    "PlaceView",
    "ProjectView",
    "QueueRow",
    "RegionView",
    "RunState",
    "RunView",
    "Scope",
    "VerdictValue",
    "VerdictView",
    "VersionView",
    "WhatIfView",
]
