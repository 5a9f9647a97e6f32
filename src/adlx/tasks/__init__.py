"""Objectives: how a kind of model is trained and scored."""
