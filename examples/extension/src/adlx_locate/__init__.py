"""An example of an extension of adlx: where in a noisy signal is the bump?"""
