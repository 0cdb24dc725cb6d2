"""Where stages and tiles go on the chip: the parts of the pass `place`."""
