"""Small, complete projects for the store tests."""

from dataclasses import dataclass
from uuid import uuid4

from db.records import (
    CaseRecord,
    CueRecord,
    NewCase,
    NewConcept,
    NewCue,
    NewImage,
    NewVersion,
    ProjectRecord,
    RegionRecord,
    ReviewerRecord,
    VersionRecord,
)
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

DICTIONARY = "d" * 64


@dataclass(frozen=True)
class World:
    """What make_world stored."""

    project: ProjectRecord
    version: VersionRecord
    cases: tuple[CaseRecord, ...]  # queue order
    cues: tuple[tuple[CueRecord, ...], ...]  # per case, by rank
    ada: ReviewerRecord
    ben: ReviewerRecord


def new_version(hash: str = "v" * 64, parent: str | None = None) -> NewVersion:
    return NewVersion(
        hash=hash,
        kind="discover" if parent is None else "reweight",
        dictionary_hash=DICTIONARY,
        encoder_spec="demo",
        encoder_hash="e" * 64,
        folder=f"versions/{hash}",
        seed=7,
        classes=("naevus", "melanoma"),
        code_version="0.1.0",
        parent_hash=parent,
        metrics={"accuracy": 0.9, "groups": [1, 2]},
    )


def new_image(index: int) -> NewImage:
    return NewImage(
        relpath=f"images/{index:05d}.png",
        sha256=f"{index:064x}",
        width=192,
        height=128,
        label="naevus" if index % 2 else "melanoma",
        split="train" if index % 3 else "test",
    )


def new_concept(number: int) -> NewConcept:
    return NewConcept(
        number=number,
        level=number % 3,
        frequency=0.1 * (number % 10),
        model_name=None if number == 3 else f"sign {number}",
        score=0.5,
        margin=0.01 * number,
        runners_up=(("ruler", 0.4), ("hair", 0.3)),
    )


def new_case(image_id: str, order: int) -> NewCase:
    return NewCase(
        image_id=image_id,
        prediction="melanoma",
        confidence=0.75,
        logit=1.5,
        bias=-0.25,
        probabilities=(("naevus", 0.25), ("melanoma", 0.75)),
        queue_order=order,
    )


def new_cue(concept_id: str, rank: int) -> NewCue:
    return NewCue(
        concept_id=concept_id,
        rank=rank,
        activation=2.0 + rank,
        contribution=0.5,
        causal_effect=1.0 - 0.1 * rank,
        grid_rows=3,
        grid_cols=4,
        map_u8=bytes(range(12)),
        region_bits=b"\xf0\x80",
        regions=(RegionRecord(0.0, 0.0, 0.5, 1 / 3, 1 / 6),),
    )


def add_cues(uow: UnitOfWork, case_id: str, numbers: dict[int, str]) -> tuple[CueRecord, ...]:
    ordered = enumerate(sorted(numbers))
    return uow.cues.add_many(case_id, [new_cue(numbers[each], rank) for rank, each in ordered])


def make_world(factory: UnitOfWorkFactory, images: int = 3, concepts: int = 4) -> World:
    tag = uuid4().hex[:12]
    with factory() as uow:
        project = uow.projects.add(f"project {tag}", "images", classes=("naevus", "melanoma"))
        stored = uow.images.add_many(project.id, [new_image(index) for index in range(images)])
        version = uow.versions.add(project.id, new_version())
        project = uow.projects.set_active_version(project.id, version.id)
        uow.concepts.add_many(project.id, DICTIONARY, [new_concept(n) for n in range(concepts)])
        numbers = uow.concepts.ids(project.id, DICTIONARY)
        uow.cases.add_many(
            version.id, [new_case(image.id, order) for order, image in enumerate(stored)]
        )
        cases = uow.cases.list(version.id)
        cues = tuple(add_cues(uow, case.id, numbers) for case in cases)
        ada = uow.reviewers.get_or_create(f"Ada {tag}")
        ben = uow.reviewers.get_or_create(f"Ben {tag}")
        version = uow.versions.get(version.id)
        uow.commit()
    return World(project, version, cases, cues, ada, ben)
