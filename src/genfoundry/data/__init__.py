"""From where images come from to the batches a model sees."""


class DataError(ValueError):
    """Data that does not fit what params.yaml says of it."""


class SourceError(RuntimeError):
    """One source did not give the data; the message says why."""
