"""Attribution methods behind one registry, so that an expert compares and a developer swaps.

    model = AttributionModel(encoder, bundle.sae, bundle.head)
    for info in methods():
        found = attribute(info.name, model, image, class_index)

`register(MethodInfo(...), function)` adds a method of one's own: a function from `Job` to `Values`.
"""

from core.attribution.concept_maps import concept_map, contribution_map
from core.attribution.gradients import grad_cam, integrated_gradients
from core.attribution.model import AttributionModel
from core.attribution.perturbation import cue_regions, kernel_shap, occlusion
from core.attribution.registry import (
    AttributionMap,
    Job,
    MethodInfo,
    Registry,
    Settings,
    Values,
)
from core.attribution.relevance import attention_rollout, layer_relevance

__all__ = [
    "AttributionMap",
    "AttributionModel",
    "Job",
    "MethodInfo",
    "Registry",
    "Settings",
    "Values",
    "attribute",
    "contribution_map",
    "cue_regions",
    "default_registry",
    "methods",
    "register",
]


def default_registry() -> Registry:
    """A fresh registry of the methods that come with Insight."""
    registry = Registry()
    registry.register(
        MethodInfo(
            "concepts", "Concepts", "Share of the logit that the concepts on a patch contribute.",
            "Insight; exact with mean pooling, shared by activation with maximum pooling", "logit",
        ),
        concept_map,
    )  # fmt: skip
    registry.register(
        MethodInfo(
            "grad-cam", "Grad-CAM", "Dense tokens weighted by their mean gradient.",
            "Selvaraju et al. 2017; sign kept", "no",
        ),
        grad_cam,
    )  # fmt: skip
    registry.register(
        MethodInfo(
            "integrated-gradients", "Integrated gradients",
            "Gradients along the way from an empty picture.",
            "Sundararajan et al. 2017; steps of JumpReLU are not seen", "difference",
        ),
        integrated_gradients,
    )  # fmt: skip
    registry.register(
        MethodInfo(
            "occlusion", "Occlusion", "How far the logit falls when the place is covered.",
            "Zeiler and Fergus 2014", "no",
        ),
        occlusion,
    )  # fmt: skip
    registry.register(
        MethodInfo(
            "kernel-shap", "Kernel SHAP", "Shapley value of a region, shared among its patches.",
            "Lundberg and Lee 2017; over blocks of patches or cue regions", "difference",
            random=True,
        ),
        kernel_shap,
    )  # fmt: skip
    registry.register(
        MethodInfo(
            "lrp", "Layer-wise relevance", "Relevance passed back through the tower's layers.",
            "Ali et al. 2022; LRP-0 with attention and norms held constant", "no", vit_only=True,
        ),
        layer_relevance,
    )  # fmt: skip
    registry.register(
        MethodInfo(
            "rollout", "Attention rollout", "The concept map carried back along the attention.",
            "Abnar and Zuidema 2020; started from signed patch contributions", "no", vit_only=True,
        ),
        attention_rollout,
    )  # fmt: skip
    return registry


_REGISTRY = default_registry()
methods = _REGISTRY.methods
attribute = _REGISTRY.attribute
register = _REGISTRY.register
