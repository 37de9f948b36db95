"""From texts to a trained network: data, the optimiser's loop, checkpoints."""
