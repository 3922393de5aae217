"""Words of a file are looked up in a project: which case, cue or concept they speak of here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import ConfigError
from dashboard.services.data_words import Word
from dashboard.services.settings_of import reasons_ever
from db.records import ProjectRecord, VersionRecord
from db.repositories.word_reads import CaseKey
from db.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Placed:
    """A word and what it speaks of here."""

    word: Word
    case: CaseKey | None = None
    concept_id: str | None = None


@dataclass
class Catalogue:
    """What a project has, as far as words name it; read once per import."""

    project: ProjectRecord
    versions: Mapping[str, VersionRecord]  # by hash
    active: VersionRecord | None
    reasons: tuple[str, ...]
    concepts: dict[str, dict[int, str]] = field(default_factory=dict)  # dictionary -> number -> id

    @classmethod
    def of(cls, uow: UnitOfWork, project: ProjectRecord) -> Catalogue:
        """The catalogue of a project."""
        versions = {each.hash: each for each in uow.versions.list(project.id)}
        active = uow.versions.active(project.id)
        return cls(project, versions, active, reasons_ever(uow, project.id))

    def place(self, uow: UnitOfWork, words: Sequence[Word]) -> list[Placed | str]:
        """Each word's place, or the reason why it has none here."""
        shas = {word["image_sha256"].lower() for word in words if word["image_sha256"]}
        paths = {word["image"] for word in words if word["image"] and not word["image_sha256"]}
        by_sha, by_path = uow.words.images(self.project.id, shas, paths)
        found: list[Placed | str] = []
        wanted: list[tuple[Word, tuple[str, str] | None, str | None]] = []
        for word in words:
            try:
                wanted.append((word, self._case(word, by_sha, by_path), self._concept(uow, word)))
            except ConfigError as error:
                found.append(f"{word.place}: {error}")
        cases = uow.words.cases(key for _word, key, _concept in wanted if key is not None)
        for word, key, concept in wanted:
            if key is not None and key not in cases:
                found.append(f"{word.place}: the image has no case under this version here")
            else:
                found.append(Placed(word, cases[key] if key else None, concept))
        return found

    def _case(
        self, word: Word, by_sha: Mapping[str, str], by_path: Mapping[str, str]
    ) -> tuple[str, str] | None:
        """Version id and image id of the case that a word speaks of, if it speaks of one."""
        self._check(word)
        if not word["image"] and not word["image_sha256"]:
            return None
        sha, path = word["image_sha256"], word["image"]
        image = by_sha.get(sha.lower()) if sha else by_path.get(path)
        if image is None:
            raise ConfigError(f"no image {path or sha[:12]!r:.120} in {self.project.name}")
        version = self._version(word)
        label = word["corrected_label"]
        if label is not None and label not in version.classes:
            raise ConfigError(f"{label!r:.120} is not a class of this version")
        return version.id, image

    def _version(self, word: Word) -> VersionRecord:
        version = self.versions.get(word["version"]) if word["version"] else self.active
        if version is None:
            named = (word["version"] or "(active)")[:12]
            raise ConfigError(f"no model version {named} in {self.project.name}")
        if word["dictionary"] not in (None, version.dictionary_hash):
            raise ConfigError(f"version {version.hash[:12]} has another dictionary here")
        return version

    def _concept(self, uow: UnitOfWork, word: Word) -> str | None:
        """Id of the concept that a word speaks of, if it speaks of one."""
        number = word["concept"]
        if number is None:
            return None
        dictionary = word["dictionary"]
        if dictionary is None:
            dictionary = self._version(word).dictionary_hash
        if dictionary not in self.concepts:
            self.concepts[dictionary] = uow.concepts.ids(self.project.id, dictionary)
        if not self.concepts[dictionary]:
            raise ConfigError(f"no dictionary {dictionary[:12]!r} in {self.project.name}")
        if number not in self.concepts[dictionary]:
            raise ConfigError(f"dictionary {dictionary[:12]} has no concept {number}")
        return self.concepts[dictionary][number]

    def _check(self, word: Word) -> None:
        """What a project's rules say of a word."""
        judged = word.table in ("verdicts", "class_verdicts", "column_verdicts")
        if judged and word["reason"] not in (None, *self.reasons):
            raise ConfigError(
                f"reason must be one of {', '.join(self.reasons)}, not {word['reason']!r:.80}"
            )
        if word.table == "class_verdicts" and word["class_name"] not in self.project.classes:
            raise ConfigError(f"{word['class_name']!r:.120} is not a class of {self.project.name}")
