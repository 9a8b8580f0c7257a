"""From where images come from to the batches a model sees."""
