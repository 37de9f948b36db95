"""One network for several kinds of data: its rows, training, weights, and what it makes."""
