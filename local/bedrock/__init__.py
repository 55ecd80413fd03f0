"""A local Bedrock: custom model import, and answers that are computed from the very weights that were imported."""
