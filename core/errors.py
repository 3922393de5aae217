"""The exceptions of the engine.

InsightError
|-- InputError            untrusted input: carries the file and the reason
|   |-- ImageError        an image that cannot be read safely
|   |-- TableError        a labels, vocabulary or verdicts table
|   `-- BundleError       a model bundle that is damaged or does not fit
|-- EncoderError          an encoder that cannot be loaded or used
|-- ConfigError           a setting outside its range
|-- TrainingStopped       a training that was asked to stop and can go on
`-- FeedbackError         verdicts that cannot carry a run
    |-- TooFewVerdicts
    `-- DetectorFailed    a cue detector that fails on held-back verdicts
"""


class InsightError(Exception):
    """Base of every error that a user may see; its text is fit to be shown."""


class InputError(InsightError):
    """Untrusted input was refused.

    Args:
        file: the name of the file (or row) at fault, as the user knows it.
        reason: one plain sentence, without a trailing full stop.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        return type(self), (self.file, self.reason)


class ImageError(InputError):
    """An image is corrupt, truncated, too large, animated or otherwise refused."""


class TableError(InputError):
    """A table has a wrong encoding, missing columns or bad rows."""


class BundleError(InputError):
    """A model bundle is incomplete, altered or made for another encoder."""


class EncoderError(InsightError):
    """An encoder cannot be loaded, or is of a kind that gives no dense tokens."""


class ConfigError(InsightError):
    """A setting is outside its range."""


class TrainingStopped(InsightError):
    """A training was asked to stop; what it had learnt is in its last checkpoint."""


class FeedbackError(InsightError):
    """The verdicts given cannot carry this run."""


class TooFewVerdicts(FeedbackError):
    """Fewer marked regions than a detector needs."""


class DetectorFailed(FeedbackError):
    """A rejected cue could not be recognised on held-back verdicts."""
