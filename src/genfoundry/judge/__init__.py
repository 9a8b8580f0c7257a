"""The judge of a data set: a classifier whose features measure distances and whose labels count modes."""
