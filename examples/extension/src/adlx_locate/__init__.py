"""An example of an extension of adlx: predicts the position of the bump in a noisy signal."""
